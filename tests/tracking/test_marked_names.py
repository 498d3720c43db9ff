import numpy as np

from polytag.tracking.marked_names import labels_below, marked_names

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


def test_labels_alone_and_those_that_nobody_knows():
    assert labels_below(np.array([0, -1, 1]), CLASSES) == [("owl", "right"), ("?dog", "unknown")]
    assert labels_below(np.zeros(3), CLASSES) == [("none", "right")]
    many = np.array([1, -1, -1, -1, -1])
    assert labels_below(many, "abcde") == [("a", "right"), ("? 4 unknown", "unknown")]
    assert labels_below(many[1:], "bcde") == [("? 4 unknown", "unknown")]
