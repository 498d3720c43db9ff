import numpy as np
import pytest

from polytag.tracking.marked_names import labels_below, marked_names, most_wrong_rows, sample_rows

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


def test_sampled_rows_are_distinct_ordered_and_repeatable():
    rows = sample_rows(100, 12, seed=0)

    assert len(set(rows.tolist())) == 12
    assert rows.tolist() == sorted(rows.tolist())
    assert rows.tolist() == sample_rows(100, 12, seed=0).tolist()
    assert rows.tolist() != sample_rows(100, 12, seed=1).tolist()
    assert sample_rows(3, 12, seed=0).tolist() == [0, 1, 2]


def test_the_most_wrong_images_have_the_highest_mean_cross_entropy_of_their_known_labels():
    probabilities = np.array([[0.9, 0.2], [0.5, 0.5], [1.0, 0.1], [0.3, 0.3]], np.float32)
    targets = np.array([[1, 0], [1, 1], [0, -1], [-1, -1]], np.int8)

    rows, losses = most_wrong_rows(probabilities, targets, 2)

    assert rows.tolist() == [2, 1]
    # Means of -log of what each known label was given; of a certainty that is wrong, -log(1e-7).
    assert losses == pytest.approx([0.164252, 0.693147, 16.118096, 0], abs=1e-5)
