"""In which settings runs differ."""

from polytag.comparison.settings import (
    NOTHING,
    differing,
    differing_values,
    groups_that_vary_together,
    short_names,
    target_name,
    text_of,
)

BASE = {
    "seed": 0,
    "monitor": {"metric": "val/map"},
    "paths": {"output": "a"},
    "sweep": {"number": 1},
    "notes": "one",
    "callbacks": {"checkpoint": {"metric": "val/map"}, "progress": {"metric": "val/map"}},
    "criterion": {"_target_": "polytag.losses.bce.BCE", "pos_weight": None},
    "recipe": {"image_sizes": [64, 96], "lr": 0.01, "curve": {"_target_": "polytag.schedule.curves.Cosine"}},
}


def test_only_what_differs_and_nothing_of_where_a_run_was_written():
    other = BASE | {
        "paths": {"output": "b"},
        "sweep": {"number": 2},
        "notes": "two",
        "recipe": BASE["recipe"] | {"lr": 0.1, "image_sizes": [64]},
    }
    assert differing([BASE, other]) == {"recipe.image_sizes": [[64, 96], [64]], "recipe.lr": [0.01, 0.1]}
    assert differing([BASE, BASE]) == {}
    assert differing([BASE]) == {}
    assert differing([]) == {}


def test_another_class_goes_by_its_name_with_what_differs_among_those_that_have_it():
    focal = BASE | {"criterion": {"_target_": "polytag.losses.focal.Focal", "gamma": 2}}
    sharp = BASE | {"criterion": {"_target_": "polytag.losses.focal.Focal", "gamma": 5}}
    assert differing([BASE, focal]) == {"criterion": ["BCE", "Focal"]}
    found = differing([BASE, focal, sharp])
    assert found == {"criterion": ["BCE", "Focal", "Focal"], "criterion.gamma": [NOTHING, 2, 5]}


def test_a_key_that_some_runs_do_not_have_differs():
    assert differing([BASE, BASE | {"new": 1}]) == {"new": [NOTHING, 1]}


def test_what_follows_from_another_key_is_named_once():
    loss = {"metric": "val/loss"}
    other = BASE | {"monitor": loss, "callbacks": {"checkpoint": loss, "progress": loss}}
    assert differing([BASE, other]) == {"monitor.metric": ["val/map", "val/loss"]}


def test_numbers_and_texts_that_look_alike_are_different():
    assert differing([{"a": 1}, {"a": "1"}, {"a": True}]) == {"a": [1, "1", True]}


def test_texts_are_those_of_the_command_line():
    values = [0.123456, 1e-5, 3, True, None, "x", [64, 96], [{"a": "b"}], NOTHING]
    assert [text_of(value) for value in values] == [
        *("0.1235", "1e-05", "3", "true", "null", "x", "[64, 96]", "[{a: b}]", "-")
    ]


def test_names_are_as_short_as_they_can_be():
    keys = ["recipe.lr", "optimizer.weight_decay", "model.batch_norm", "data.batch_norm", "seed"]
    assert list(short_names(keys).values()) == ["lr", "weight_decay", "model.batch_norm", "data.batch_norm", "seed"]


def test_nodes_go_by_what_is_unlike_others():
    bce, weighted = ({"_target_": "a.BCE", "pos_weight": value, "limit": None} for value in (None, "counts"))
    focal, sharp = ({"_target_": "a.Focal", "gamma": value} for value in (2.0, 5.0))
    assert differing_values([bce, weighted, focal, sharp]) == [
        *("pos_weight=null", "pos_weight=counts", "gamma=2", "gamma=5")
    ]
    assert differing_values([bce, focal, focal]) == ["", "", ""]
    assert differing_values([bce, weighted]) == ["pos_weight=null", "pos_weight=counts"]
    assert [target_name(node) for node in (focal, None)] == ["Focal", "unknown"]


def test_keys_that_vary_together_are_one():
    columns = {
        "model.backbone": ["a", "a", "b", "b"],
        "model.groups": [3, 3, 5, 5],
        "seed": [0, 1, 0, 1],
        "recipe.lr": [0.1, 0.2, 0.3, 0.4],
        "optimizer.weight_decay": [1, 2, 3, 4],
    }
    assert groups_that_vary_together(columns) == {
        "model.backbone": ["model.groups"],
        "seed": [],
        "recipe.lr": [],
        "optimizer.weight_decay": [],
    }
