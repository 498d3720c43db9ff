"""Stratified splits: every expected count is worked out by hand."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polytag.data.label_table import LabelTable, make_table
from polytag.data.split import assign_splits, label_shift, take_subset
from polytag.data.stratify import stratify
from polytag.errors import UserError


def targets_of(*blocks):
    """Return the multi-hot rows of (how many, row) blocks."""
    return np.concatenate([np.tile(np.array(row, np.uint8), (count, 1)) for count, row in blocks])


def table_of(targets, split=None) -> LabelTable:
    classes = [f"c{i}" for i in range(targets.shape[1])]
    labels = [[classes[i] for i in np.flatnonzero(row)] for row in targets]
    return make_table(Path("."), [f"{i}.jpg" for i in range(len(targets))], labels, classes=classes, split=split)


def sizes_of(table):
    return {name: int((table.split == name).sum()) for name in ("train", "val", "test", "")}


# 40 images: 20 with a, 8 with b, 12 with both
PAIRS = targets_of((20, (1, 0)), (8, (0, 1)), (12, (1, 1)))


def test_every_part_gets_its_share_of_every_label():
    parts = stratify(PAIRS, [0.5, 0.25, 0.25], seed=0)
    assert np.bincount(parts).tolist() == [20, 10, 10]
    assert [PAIRS[parts == part].sum(0).tolist() for part in range(3)] == [[16, 10], [8, 5], [8, 5]]


def test_label_sets_are_spread_too():
    both = PAIRS.sum(1) == 2
    for seed in range(20):
        parts = stratify(PAIRS, [0.5, 0.5], seed)
        assert np.bincount(parts[both]).tolist() in ([6, 6], [5, 7], [7, 5])


def test_rare_labels_reach_both_parts():
    rare = targets_of((990, (1, 0, 0)), (5, (1, 1, 0)), (5, (0, 0, 1)))
    for seed in range(5):
        parts = stratify(rare, [0.8, 0.2], seed)
        assert rare[parts == 1].sum(0).tolist() == [199, 1, 1]


def test_the_only_image_of_a_label_goes_to_the_largest_part():
    targets = targets_of((97, (1, 0, 0, 0)), (1, (0, 1, 0, 0)), (1, (0, 0, 1, 0)), (1, (0, 0, 0, 1)))
    for seed in range(10):
        assert stratify(targets, [0.2, 0.8], seed)[97:].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("images_each", "sizes"), [(1, [800, 200]), (2, [1600, 400]), (3, [2400, 600])])
def test_a_thousand_small_classes_do_not_distort_the_sizes(images_each, sizes):
    parts = stratify(np.repeat(np.eye(1000, dtype=np.uint8), images_each, axis=0), [0.8, 0.2], seed=0)
    assert np.bincount(parts).tolist() == sizes


def test_rows_without_labels_make_the_sizes_right():
    targets = targets_of((10, (1,)), (90, (0,)))
    parts = stratify(targets, [0.7, 0.3], seed=3)
    assert np.bincount(parts).tolist() == [70, 30]
    assert np.bincount(parts[:10]).tolist() == [7, 3]


def test_no_part_with_a_share_is_empty_and_one_without_a_share_is():
    assert np.bincount(stratify(np.ones((3, 1), np.uint8), [0.98, 0.01, 0.01], 0)).tolist() == [1, 1, 1]
    assert np.bincount(stratify(np.ones((4, 1), np.uint8), [0.5, 0.0, 0.5], 0)).tolist() == [2, 0, 2]
    assert stratify(np.zeros((0, 2), np.uint8), [0.5, 0.5], 0).tolist() == []


def test_the_seed_decides_and_nothing_else():
    first, again, other = (stratify(PAIRS, [0.8, 0.2], seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_folds_are_disjoint_and_cover_all_rows():
    folds = [assign_splits(table_of(PAIRS), num_folds=4, fold=fold) for fold in range(4)]
    times_in_val = sum((table.split == "val").astype(int) for table in folds)
    assert times_in_val.tolist() == [1] * 40
    assert [sizes_of(table) for table in folds] == [{"train": 30, "val": 10, "test": 0, "": 0}] * 4
    assert all(table.part("val").targets.sum(0).tolist() == [8, 5] for table in folds)


def test_fractions_are_shares_of_all_free_rows():
    table = assign_splits(table_of(PAIRS), val_fraction=0.25, test_fraction=0.5)
    assert sizes_of(table) == {"train": 10, "val": 10, "test": 20, "": 0}
    assert table.part("test").targets.sum(0).tolist() == [16, 10]


def test_the_test_rows_depend_on_the_seed_alone():
    base = table_of(PAIRS)
    tables = [
        assign_splits(base, val_fraction=0.1, test_fraction=0.2),
        assign_splits(base, val_fraction=0.4, test_fraction=0.2),
        assign_splits(base, num_folds=5, fold=3, test_fraction=0.2),
    ]
    chosen = [np.flatnonzero(table.split == "test").tolist() for table in tables]
    assert chosen[0] == chosen[1] == chosen[2]
    assert len(chosen[0]) == 8


def test_no_validation_is_legal():
    assert sizes_of(assign_splits(table_of(PAIRS), val_fraction=0)) == {"train": 40, "val": 0, "test": 0, "": 0}


def test_given_validation_rows_stay_and_the_others_train():
    given = ["val"] * 4 + ["train"] * 16 + [""] * 16 + ["test"] * 4
    table = assign_splits(table_of(PAIRS, given), val_fraction=0.5)
    assert table.split.tolist() == ["val"] * 4 + ["train"] * 32 + ["test"] * 4


def test_given_train_rows_are_not_used_for_validation():
    table = assign_splits(table_of(PAIRS, ["train"] * 20 + [""] * 20), val_fraction=0.5)
    assert (table.split[:20] == "train").all()
    assert sizes_of(table) == {"train": 30, "val": 10, "test": 0, "": 0}


def test_folds_pool_given_train_and_val_but_leave_test():
    given = ["val"] * 4 + ["train"] * 26 + ["test"] * 10
    folds = [assign_splits(table_of(PAIRS, given), num_folds=3, fold=fold) for fold in range(3)]
    assert all((table.split[30:] == "test").all() for table in folds)
    assert sum((table.split[:30] == "val").astype(int) for table in folds).tolist() == [1] * 30


def test_val_indexes_are_exactly_the_validation_rows():
    given = ["val"] * 10 + [""] * 20 + ["test"] * 10
    table = assign_splits(table_of(PAIRS, given), val_indexes=[12, 3])
    assert np.flatnonzero(table.split == "val").tolist() == [3, 12]
    assert sizes_of(table) == {"train": 28, "val": 2, "test": 10, "": 0}
    with_test = assign_splits(table_of(PAIRS), val_indexes=range(20), test_fraction=0.5)
    assert (with_test.split[:20] == "val").all()
    assert sizes_of(with_test) == {"train": 10, "val": 20, "test": 10, "": 0}


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"val_fraction": 1.0}, "val_fraction=1.0"),
        ({"val_fraction": -0.1}, "val_fraction=-0.1"),
        ({"val_fraction": float("nan")}, "val_fraction=nan"),
        ({"test_fraction": 2}, "test_fraction=2"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "sum"),
        ({"num_folds": 1}, "num_folds=1"),
        ({"num_folds": 41}, "num_folds=41"),
        ({"num_folds": 5, "fold": 5}, "fold=5"),
        ({"num_folds": 5, "fold": -1}, "fold=-1"),
        ({"fold": 2}, "num_folds"),
        ({"num_folds": 5, "val_indexes": [1]}, "val_indexes"),
        ({"val_indexes": [0, 40]}, "40, but the rows are 0 to 39"),
        ({"val_indexes": [-1]}, "-1"),
        ({"val_indexes": [1.5]}, "1.5"),
        ({"val_indexes": [3, 7, 3]}, "names 3 more than once"),
        ({"val_indexes": range(40)}, "No training row"),
    ],
)
def test_mistakes_are_named(settings, culprit):
    with pytest.raises(UserError) as caught:
        assign_splits(table_of(PAIRS), **settings)
    assert culprit in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "settings", "culprit"),
    [
        (["test"] + [""] * 39, {"test_fraction": 0.2}, "test_fraction=0.2"),
        (["train"] * 40, {"val_fraction": 0.0, "test_fraction": 0.2}, "test_fraction=0.2"),
        (["train"] * 40, {}, "val_fraction=0.2"),
        (["test"] + [""] * 39, {"val_indexes": [0, 1]}, "names 0, which"),
        (["test"] * 40, {"val_fraction": 0}, "No training row"),
    ],
)
def test_settings_that_contradict_the_source_are_named(given, settings, culprit):
    with pytest.raises(UserError) as caught:
        assign_splits(table_of(PAIRS, given), **settings)
    assert culprit in str(caught.value)


def test_label_shift_by_hand():
    # a: 4 of 5 in val, 6 of 10 in all; b: 1 of 5, 4 of 10; c: 0 of 5, 1 of 10. Test rows are not counted.
    targets = targets_of((4, (1, 0, 0)), (1, (0, 1, 0)), (2, (1, 0, 0)), (2, (0, 1, 0)), (1, (0, 1, 1)), (9, (1, 1, 1)))
    table = table_of(targets, ["val"] * 5 + ["train"] * 5 + ["test"] * 9)
    assert label_shift(table).tolist() == pytest.approx([0.2, 0.2, 0.1])
    assert label_shift(replace(table, split=np.array(["train"] * 19))).tolist() == [0, 0, 0]


def test_what_is_unknown_counts_as_no_positive():
    names = [f"{i}.jpg" for i in range(40)]
    labels = [[name for name, has in zip(("a", "b"), row, strict=True) if has] for row in PAIRS]
    # Of the first 20, which have a, nobody knows about b; of the next 8, which have b, nobody knows about a.
    unknown = [["b"]] * 20 + [["a"]] * 8 + [[]] * 12
    partial = make_table(Path("."), names, labels, unknown=unknown)
    assert (partial.targets == -1).sum(0).tolist() == [8, 20]
    settings = {"val_fraction": 0.25, "test_fraction": 0.5}
    split, known = assign_splits(partial, **settings), assign_splits(table_of(PAIRS), **settings)
    assert split.split.tolist() == known.split.tolist()
    assert label_shift(split).tolist() == label_shift(known).tolist() == [0, 0]
    assert take_subset(partial, 20, seed=0).names.tolist() == take_subset(table_of(PAIRS), 20, seed=0).names.tolist()


def test_a_subset_keeps_the_proportions_and_the_order():
    small = take_subset(table_of(PAIRS), 20, seed=0)
    assert len(small) == 20
    assert small.targets.sum(0).tolist() == [16, 10]
    places = [int(name.removesuffix(".jpg")) for name in small.names]
    assert places == sorted(places)
    assert small.names.tolist() == take_subset(table_of(PAIRS), 20, seed=0).names.tolist()
    assert small.names.tolist() != take_subset(table_of(PAIRS), 20, seed=1).names.tolist()


def test_a_subset_keeps_the_proportions_of_given_splits():
    table = table_of(PAIRS, ["train"] * 20 + ["val"] * 12 + ["test"] * 8)
    assert sizes_of(take_subset(table, 10, seed=0)) == {"train": 5, "val": 3, "test": 2, "": 0}
    uneven = table_of(PAIRS, ["train"] * 38 + ["val", "test"])
    assert sizes_of(take_subset(uneven, 4, seed=0)) == {"train": 2, "val": 1, "test": 1, "": 0}


def test_limits_at_the_edge():
    table = table_of(PAIRS)
    assert take_subset(table, None, 0) is table
    assert take_subset(table, 40, 0) is table
    assert len(take_subset(table, 1, 0)) == 1
    for limit in (0, -3):
        with pytest.raises(UserError, match=f"limit={limit}"):
            take_subset(table, limit, 0)


@pytest.mark.real_data
@pytest.mark.skipif("POLYTAG_REAL_DATA" not in os.environ, reason="POLYTAG_REAL_DATA names no folder of real data")
@pytest.mark.parametrize("settings", [{"val_fraction": 0.2}, {"num_folds": 5, "fold": 3}])
def test_planet_is_split_evenly(settings):
    with open(Path(os.environ["POLYTAG_REAL_DATA"]) / "planet" / "train_v2.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    table = make_table(Path("."), [row["image_name"] for row in rows], [row["tags"].split() for row in rows])
    split = assign_splits(table, **settings)
    assert sizes_of(split) == {"train": 32383, "val": 8096, "test": 0, "": 0}
    # Splits at random shift the worst label by 0.006 on average.
    assert label_shift(split).max() < 0.001
    rare = dict(zip(split.classes, split.part("val").targets.sum(0).tolist(), strict=True))
    assert rare["blow_down"] in (19, 20)  # of 98
    assert rare["conventional_mine"] in (19, 20, 21)  # of 100
    assert len(take_subset(table, 1000, seed=0)) == 1000
