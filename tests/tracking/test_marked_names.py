import numpy as np

from polytag.tracking.marked_names import marked_names, sample_rows

CLASSES = ("cat", "dog", "owl")


def test_names_say_what_is_right_added_and_missed_without_colour():
    marked = marked_names(np.array([1, 1, 0]), np.array([False, True, True]), CLASSES)

    assert marked == [("dog", "right"), ("+owl", "added"), ("−cat", "missed")]


def test_a_label_of_which_nobody_knows_is_neither_right_nor_wrong():
    assert marked_names(np.array([-1, -1, 1]), np.array([True, False, True]), CLASSES) == [
        ("owl", "right"),
        ("?cat", "unknown"),
    ]


def test_an_empty_image_that_gets_no_label_says_none():
    assert marked_names(np.zeros(3), np.zeros(3, bool), CLASSES) == [("none", "right")]


def test_sampled_rows_are_distinct_ordered_and_repeatable():
    rows = sample_rows(100, 12, seed=0)

    assert len(set(rows.tolist())) == 12
    assert rows.tolist() == sorted(rows.tolist())
    assert rows.tolist() == sample_rows(100, 12, seed=0).tolist()
    assert rows.tolist() != sample_rows(100, 12, seed=1).tolist()
    assert sample_rows(3, 12, seed=0).tolist() == [0, 1, 2]
