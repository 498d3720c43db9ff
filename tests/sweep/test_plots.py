"""The pictures of a sweep: what is in them, and what is left out."""

import math

import pytest
from PIL import Image

from polytag.sweep import parallel_plot, plots
from polytag.sweep.importance import Share, draw_importances, importances
from polytag.sweep.job import Job
from polytag.sweep.options import Objective
from polytag.sweep.parallel_plot import Axis, axes_of, params_of
from polytag.sweep.plots import pareto_front, write_plots
from polytag.sweep.settings import Settings
from polytag.sweep.space_syntax import read_space

MAP, LOSS = Objective("val/map", "max"), Objective("val/loss", "min")
RATE = "recipe.lr=tag(log,interval(1e-3,1e-1))"


def job(number, score=None, state="done", overrides=(), **params):
    values = score if score is None or isinstance(score, tuple) else (score,)
    return Job(
        number, str(number), overrides, state, values, params={k.replace("__", "."): v for k, v in params.items()}
    )


def space_of(*overrides, **more):
    return read_space(overrides, **more)[1]


@pytest.fixture
def drawn(monkeypatch):
    """Return the figures that would be written, by the names of their files."""
    figures = {}
    for module in (plots, parallel_plot):
        monkeypatch.setattr(module, "save", lambda figure, path: figures.update({path.stem: figure}))
    return figures


def lines_of(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_history_has_the_best_so_far_and_a_mark_for_each_way_to_end(drawn, tmp_path):
    jobs = [
        *(job(0, 0.5), job(1, 0.4), job(2, 0.3, "pruned"), job(3, None, "failed"), job(4, math.nan), job(5, 0.7)),
        job(6, None, "running"),
    ]
    plots.plot_history(jobs, MAP, tmp_path / "history.png")
    axes = drawn["history"].axes[0]
    lines = lines_of(axes)
    assert lines["done"] == ([0, 1, 5], [0.5, 0.4, 0.7])
    assert lines["pruned"] == ([2], [0.3])
    assert lines["best so far"] == ([0, 1, 5, 6], [0.5, 0.5, 0.7, 0.7])
    assert lines["failed"][0] == [3]
    assert lines["refused"][0] == [4]
    assert axes.get_title(loc="right") == "best 0.7000 of job 5"


def test_history_of_a_loss_goes_down(drawn, tmp_path):
    plots.plot_history([job(0, 0.5), job(1, 0.6), job(2, 0.2)], LOSS, tmp_path / "history.png")
    assert lines_of(drawn["history"].axes[0])["best so far"][1] == [0.5, 0.5, 0.2, 0.2]


def test_the_front_is_what_no_other_beats_in_both():
    scores = [(0.9, 0.5), (0.8, 0.4), (0.7, 0.45), (0.9, 0.6), (0.2, 0.1)]
    assert pareto_front(scores, (MAP, LOSS)) == [0, 1, 4]
    assert pareto_front([(0.5, 0.5), (0.5, 0.5)], (MAP, LOSS)) == [0, 1]


def test_objectives_leave_out_what_has_no_score(drawn, tmp_path):
    jobs = [job(0, (0.9, 0.5)), job(1, (0.8, 0.6)), job(2, (math.nan, math.nan)), job(3, None, "failed")]
    plots.plot_objectives(jobs, (MAP, LOSS), tmp_path / "objectives.png")
    axes = drawn["objectives"].axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[0.9, 0.5], [0.8, 0.6]]
    assert lines_of(axes)["beaten by no job"] == ([0.9], [0.5])


def test_an_axis_is_logarithmic_where_the_space_is_or_the_numbers_span_two_decades():
    params = [{"recipe.lr": 0.004, "a": 1, "b": 1.0}, {"recipe.lr": 0.01, "a": 5, "b": 200.0}]
    axes = {axis.key: axis for axis in axes_of(params, space_of(RATE))}
    assert {key: axis.is_log for key, axis in axes.items()} == {"recipe.lr": True, "a": False, "b": True}
    assert axes["b"].place(14.1421356) == pytest.approx(0.5)
    assert axes["a"].place(2) == 0.25
    linear = axes_of(params, space_of("b=interval(1.0,200.0)"))
    assert [axis.is_log for axis in linear if axis.key == "b"] == [False]


def test_choices_have_their_order_and_numbers_among_them_theirs():
    space = space_of("model=vit,resnet", "recipe.image_size=96,128,64", "seed=0")
    params = [
        {"model": name, "recipe.image_size": size, "seed": "0"} for name in ("resnet", "vit") for size in ("96", "64")
    ]
    axes = {axis.key: axis.names for axis in axes_of(params, space)}
    assert axes == {"model": ("vit", "resnet"), "recipe.image_size": ("64", "96")}


def test_a_key_that_only_some_jobs_have_has_a_place_for_the_others():
    axis = next(axis for axis in axes_of([{"a": "x", "b": 0.5}, {"a": "y"}], space_of("a=x,y")) if axis.key == "b")
    assert axis.has_gaps
    assert axis.place(None) < 0
    assert axis.ticks()[0] == (axis.place(None), "not set")


def test_many_choices_and_long_names_are_cut():
    names = tuple(f"a_very_long_name_of_model_{number:02d}" for number in range(60))
    ticks = Axis("model", names, 0, 0, False, False).ticks()
    assert len(ticks) <= 14
    assert all(len(text) <= 22 for _, text in ticks)


def test_names_and_numbers_beside_an_axis_can_be_told_apart():
    names = tuple(f"a_very_long_name_of_model_{number:02d}" for number in range(3))
    texts = [text for _, text in Axis("model", names, 0, 0, False, False).ticks()]
    assert texts == ["a_very_long…f_model_00", "a_very_long…f_model_01", "a_very_long…f_model_02"]
    assert [text for _, text in Axis("seed", (), 100000, 100040, False, False).ticks()] == [
        *("100000", "100008", "100016", "100024", "100032", "100040")
    ]
    close = Axis("val/map", (), 0.8123, 0.812304, False, False).ticks()
    assert [text for _, text in close] == ["0.8123", "0.812301", "0.812302", "0.812303", "0.812304"]
    # 200 and 215 would stand upon one another.
    assert [text for _, text in Axis("n", (), 1, 215, False, False).ticks()] == ["1", "50", "100", "150", "215"]


def test_jobs_that_are_listed_differ_in_their_overrides():
    jobs = [job(0, 0.1, overrides=("seed=1", "experiment=a")), job(1, 0.2, overrides=("seed=1", "recipe.lr=0.1"))]
    space = space_of(jobs=[["seed=1", "experiment=a"], ["seed=1", "recipe.lr=0.1"]])
    assert params_of(jobs, space) == [{"experiment": "a"}, {"recipe.lr": "0.1"}]


def test_parallel_lines_are_of_the_jobs_with_a_score_the_best_on_top(drawn, tmp_path):
    jobs = [
        job(number, score, state, recipe__lr=0.01 * (number + 1))
        for number, (score, state) in enumerate(
            [(0.5, "done"), (0.9, "done"), (0.7, "done"), (None, "failed"), (math.nan, "done"), (0.2, "pruned")]
        )
    ]
    parallel_plot.plot_parallel(jobs, MAP, space_of(RATE), tmp_path / "p.png")
    lines = [line for line in drawn["p"].axes[0].lines if len(set(line.get_xdata())) > 1 and max(line.get_xdata()) == 1]
    whole = [line for line in lines if line.get_xdata()[0] == 0]
    assert [line.get_ydata()[-1] for line in sorted(whole, key=lambda line: line.zorder)] == [0, pytest.approx(0.5), 1]


def scored(count):
    """Return jobs whose score follows the learning rate alone."""
    return [
        job(
            number,
            0.9 - abs(number % 6 - 3) / 10,
            recipe__lr=10 ** (-3 + (number % 6) / 3),
            optimizer=("sgd", "adam")[number % 2],
        )
        for number in range(count)
    ]


def test_importance_finds_the_key_that_matters():
    space = space_of(RATE, "optimizer=sgd,adam")
    shares, reason = importances(scored(24), space, Settings())
    assert reason is None
    assert [share.name for share in shares] == ["recipe.lr", "optimizer"]
    assert shares[0].share > 0.7
    assert sum(share.share for share in shares) == pytest.approx(1)
    assert importances(scored(24), space, Settings())[0] == shares


def test_importance_of_a_grid_with_a_condition_is_that_among_the_jobs_that_have_the_key():
    space = space_of(
        *("optimizer=sgd,adam", "seed=0,1,2,3,4,5"),
        conditions=[{"when": {"optimizer": "sgd"}, "params": {"optimizer.momentum": "0.5,0.9"}}],
    )
    jobs = [
        job(
            12 * high + seed,
            0.5 + 0.3 * high,
            optimizer="sgd",
            seed=str(seed),
            optimizer__momentum=("0.5", "0.9")[high],
        )
        for high in (0, 1)
        for seed in range(6)
    ] + [job(100 + seed, 0.6, optimizer="adam", seed=str(seed)) for seed in range(6)]
    shares, _ = importances(jobs, space, Settings())
    found = {share.name: share for share in shares}
    momentum = found["optimizer.momentum [optimizer=sgd]"]
    assert (momentum.jobs, momentum.is_conditional) == (12, True)
    assert momentum.share > 0.9
    assert found["optimizer"].jobs == 18


@pytest.mark.parametrize(
    ("jobs", "space", "words"),
    [
        (scored(9), [RATE, "optimizer=sgd,adam"], "jobs with a score: 9, and it takes 10"),
        ([job(n, 0.1 * n, recipe__lr=0.001 * (n + 1)) for n in range(12)], [RATE], "only recipe.lr is varied"),
        ([job(n, 0.5, a=str(n % 2), b=str(n % 3)) for n in range(12)], ["a=0,1", "b=0,1,2"], "all scores are equal"),
    ],
)
def test_no_importance_is_explained(jobs, space, words):
    shares, reason = importances(jobs, space_of(*space), Settings())
    assert shares == []
    assert words in reason


def test_the_files_of_a_sweep(tmp_path):
    jobs = scored(12)
    space = space_of(RATE, "optimizer=sgd,adam")
    assert write_plots(tmp_path / "plots", jobs, (MAP,), space, Settings()) is None
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"history.png", "parallel_coordinates.png", "importance.png"}
    for path in (tmp_path / "plots").iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG"


def test_one_job_has_a_history_alone_and_no_job_nothing(tmp_path):
    space = space_of(RATE)
    write_plots(tmp_path / "one", [job(0, 0.5, recipe__lr=0.01)], (MAP,), space, Settings())
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["history.png"]
    assert write_plots(tmp_path / "none", [job(0, None, "failed", recipe__lr=0.01)], (MAP,), space, Settings()) is None
    assert not (tmp_path / "none").exists()


def test_bars_say_which_shares_are_of_some_jobs_only():
    figure = draw_importances([Share("a", 0.6, 20, False), Share("b [a=x]", 0.2, 12, True)], "t")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0.20  (in 12 jobs)", "0.60"]
