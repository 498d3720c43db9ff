"""What a sweep varies, from what users write."""

import pytest

from polytag.errors import UserError
from polytag.sweep.space import Choices, Dimension, Interval, Steps, grid
from polytag.sweep.space_syntax import read_space


def only(text):
    """Return the one dimension of an override."""
    _, space = read_space([text])
    (dimension,) = space.dimensions
    return dimension


def jobs_of(*overrides, **config):
    return [point.overrides for point in grid(read_space(overrides, **config)[1])]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=a,b", Choices(("a", "b"))),
        ("x=choice(a)", Choices(("a",))),
        ("x=1,2.5,null,true", Choices(("1", "2.5", "null", "true"))),
        ("x='1',\"b c\"", Choices(("'1'", "'b c'"))),
        ("x=[1,2],[3]", Choices(("[1,2]", "[3]"))),
        ("x={a:1},{a:2}", Choices(("{a:1}", "{a:2}"))),
        ("x=sort(3,1,2)", Choices(("1", "2", "3"))),
        ("x=str(choice(1,2))", Choices(("'1'", "'2'"))),
        ("x=range(3)", Steps((0, 1, 2))),
        ("x=range(10,0,-4)", Steps((10, 6, 2))),
        ("x=range(0.5,2,0.5)", Steps((0.5, 1.0, 1.5))),
        ("x=interval(0,1)", Interval(0.0, 1.0)),
        ("x=int(interval(2,8))", Interval(2, 8)),
        ("x=tag(log,interval(1e-5,0.1))", Interval(1e-5, 0.1, log=True)),
        ("x=tag(log,int(interval(1,64)))", Interval(1, 64, log=True)),
    ],
)
def test_hydra_syntax(text, values):
    assert only(text) == Dimension("x", values)
    if isinstance(values, Interval):
        assert only(text).values.is_integer == isinstance(values.low, int)


def test_a_shuffled_range_has_one_order():
    first = only("x=shuffle(range(20))").values.numbers
    assert first != tuple(range(20))
    assert sorted(first) == list(range(20))
    assert only("x=shuffle(range(20))").values.numbers == first


def test_a_glob_asks_for_the_options_of_the_group():
    class Loader:
        def get_group_options(self, group, results_filter):
            return {"model": ["resnet18", "resnet34", "vit"]}[group]

    _, space = read_space(["model=glob(res*)"], config_loader=Loader())
    assert space.dimensions == (Dimension("model", Choices(("resnet18", "resnet34"))),)
    with pytest.raises(UserError, match=r"model=glob\(x\*\) finds no options"):
        read_space(["model=glob(x*)"], config_loader=Loader())


def test_the_grid_in_order_with_what_was_drawn():
    common, space = read_space(["seed=1", "+lr=1e-3,1e-05", "size@net=range(1,3)", "~callbacks"])
    assert common == ("seed=1", "~callbacks")
    points = list(grid(space))
    assert [point.overrides for point in points] == [
        ("+lr=0.001", "size@net=1"),
        ("+lr=0.001", "size@net=2"),
        ("+lr=1e-05", "size@net=1"),
        ("+lr=1e-05", "size@net=2"),
    ]
    assert points[3].params == {"+lr": "1e-05", "size@net": 2}


def test_the_command_line_replaces_what_the_file_says():
    params = {"lr": "interval(0,1)", "model": "a,b", "data.limit": 5}
    common, space = read_space(["lr=1,2", "data.limit=7"], params=params)
    assert common == ("data.limit=7",)
    assert space.dimensions == (Dimension("model", Choices(("a", "b"))), Dimension("lr", Choices(("1", "2"))))
    assert space.is_discrete
    common, space = read_space(["model=c"], params=params)
    assert common == ("data.limit=5", "model=c")
    assert not space.is_discrete


CONDITIONS = [
    {"when": {"optimizer": "sgd"}, "params": {"momentum": "0.8,0.9"}},
    {"when": {"optimizer": ["adam", "adamw"], "lr": 1}, "params": {"momentum": "0.1"}},
]
PARAMS = {"optimizer": "sgd,adam,adamw", "lr": "1,2"}


def test_keys_that_are_varied_under_a_condition():
    assert jobs_of(params=PARAMS, conditions=CONDITIONS) == [
        ("optimizer=sgd", "lr=1", "momentum=0.8"),
        ("optimizer=sgd", "lr=1", "momentum=0.9"),
        ("optimizer=sgd", "lr=2", "momentum=0.8"),
        ("optimizer=sgd", "lr=2", "momentum=0.9"),
        ("optimizer=adam", "lr=1", "momentum=0.1"),
        ("optimizer=adam", "lr=2"),
        ("optimizer=adamw", "lr=1", "momentum=0.1"),
        ("optimizer=adamw", "lr=2"),
    ]


def test_a_condition_on_a_condition():
    deeper = {"when": {"momentum": 0.9}, "params": {"nesterov": "true,false"}}
    jobs = jobs_of(params={"optimizer": "sgd,adam"}, conditions=[CONDITIONS[0], deeper])
    assert jobs == [
        ("optimizer=sgd", "momentum=0.8"),
        ("optimizer=sgd", "momentum=0.9", "nesterov=true"),
        ("optimizer=sgd", "momentum=0.9", "nesterov=false"),
        ("optimizer=adam",),
    ]


def test_a_condition_on_a_key_that_the_command_line_sets():
    assert jobs_of("optimizer=sgd", params=PARAMS, conditions=CONDITIONS) == [
        ("lr=1", "momentum=0.8"),
        ("lr=1", "momentum=0.9"),
        ("lr=2", "momentum=0.8"),
        ("lr=2", "momentum=0.9"),
    ]
    assert jobs_of("optimizer=adam", params=PARAMS, conditions=CONDITIONS) == [("lr=1", "momentum=0.1"), ("lr=2",)]
    assert jobs_of("optimizer=sgd", "momentum=0.5", "lr=1", params=PARAMS, conditions=CONDITIONS) == [()]


def test_a_list_of_jobs_with_a_grid():
    jobs = [["experiment=a", "seed=1"], ["experiment=b"]]
    assert jobs_of(jobs=jobs) == [("experiment=a", "seed=1"), ("experiment=b",)]
    assert jobs_of("lr=1,2", jobs=jobs)[1:3] == [("experiment=a", "seed=1", "lr=2"), ("experiment=b", "lr=1")]


@pytest.mark.parametrize(
    ("overrides", "config", "message"),
    [
        (["lr=interval(1,0)"], {}, r"lr: interval\(1.0,0.0\) holds no numbers"),
        (["lr=interval(1,1)"], {}, r"lr: interval\(1.0,1.0\) holds no numbers"),
        (["lr=interval(0,inf)"], {}, r"lr: .* no finite number"),
        (["lr=tag(log,interval(0,1))"], {}, r"lr: .* logarithmic scale: its lower bound must be above 0"),
        (["lr=tag(lgo,interval(1,2))"], {}, "lr: the tag lgo is not known"),
        (["lr=tag(log,range(1,5))"], {}, "lr: the tag log is not known"),
        (["lr=between(0,1)"], {}, "^lr: .*between"),
        (["lr=range(5,5)"], {}, r"lr: range\(5,5,1\) holds no numbers"),
        (["lr=range(1,5,0)"], {}, "lr: range has a step of 0"),
        (["lr=1,2,1"], {}, "lr has the value 1 twice"),
        (["lr=1,2", "lr=3,4"], {}, "lr is varied twice"),
        (["lr=1,2", "+lr=3,4"], {}, "lr is varied twice"),
        (["lr=1,2", "lr=3"], {}, "lr is varied, and has a value for all jobs too"),
        ([], {"params": {"lr": [1, 2]}}, "sweep.params.lr is no text"),
        ([], {"params": {"lr": "interval(2,1)"}}, "lr: interval"),
        ([], {"jobs": [["lr=1,2"]]}, "sweep.jobs: lr=1,2 has several values"),
        (
            [],
            {"params": PARAMS, "conditions": [{"when": {"optimiser": "sgd"}}]},
            "optimiser is not varied.*'optimizer'",
        ),
        ([], {"params": PARAMS, "conditions": [{"when": {"optimizer": "adm"}}]}, "adm is none of .*'adam'"),
        ([], {"params": PARAMS, "conditions": [{"params": {"x": "1,2"}}]}, r"conditions\[0\] has no `when`"),
        ([], {"params": PARAMS, "conditions": [{"if": {}}]}, r"conditions\[0\].if is not known"),
        (["a=interval(0,1)"], {"conditions": [{"when": {"a": 0.5}}]}, "when.a is an interval"),
        (
            [],
            {"params": PARAMS, "conditions": [{"when": {"optimizer": "sgd"}, "params": {"lr": "3,4"}}]},
            "lr is varied twice in the same jobs",
        ),
        (
            [],
            {"params": PARAMS, "conditions": [CONDITIONS[0], {"when": {"lr": 1}, "params": {"momentum": "0.5"}}]},
            "momentum is varied twice in the same jobs",
        ),
        (
            [],
            {"params": {**PARAMS, "b": "1"}, "conditions": [{"when": {"optimizer": "sgd"}, "params": {"b": "3,4"}}]},
            "b is varied, and has a value for all jobs too",
        ),
    ],
)
def test_mistakes_name_the_key(overrides, config, message):
    with pytest.raises(UserError, match=message):
        read_space(overrides, **config)
