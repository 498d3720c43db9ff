import numpy as np
import pytest

from polytag.tracking.picture_choice import (
    Mistake,
    highest_losses,
    most_uncertain,
    most_wrong,
    sample_rows,
    without_label,
)

PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.6], [0.2, 0.8], [0.3, 0.05], [0.6, 0.4]], np.float64)
TARGETS = np.array([[0, 1], [0, 1], [1, 0], [1, 1], [1, -1]], np.int8)
GIVEN = PROBABILITIES >= 0.5


def test_most_wrong_has_the_surest_mistake_of_each_kind_of_each_class():
    # Class 0: given wrongly to 0 (0.9) and 1 (0.7), missed in 2 (0.2) and 3 (0.3).
    # Class 1: given wrongly to 2 (0.8), missed in 0 (0.1) and 3 (0.05).
    assert most_wrong(PROBABILITIES, TARGETS, GIVEN, 9) == [
        Mistake(0, 0, True, 0.9),
        Mistake(2, 0, False, 0.2),
        Mistake(2, 1, True, 0.8),
        Mistake(3, 1, False, 0.05),
    ]


def test_of_too_many_mistakes_the_surest_stay_in_the_order_of_the_classes():
    # Certainties 0.9, 0.8, 0.8, 0.95.
    kept = most_wrong(PROBABILITIES, TARGETS, GIVEN, 2)

    assert [(mistake.row, mistake.label) for mistake in kept] == [(0, 0), (3, 1)]


def test_unknown_labels_and_right_ones_are_no_mistakes():
    targets = np.array([[-1, 1], [-1, 0]], np.int8)

    assert most_wrong(np.array([[0.9, 0.9], [0.1, 0.1]]), targets, targets == 1, 5) == []


def test_most_uncertain_are_those_near_one_half():
    probabilities = np.array([[0.0, 1.0], [0.5, 0.5], [0.5, 0.99], [0.4, 0.6]], np.float32)

    assert most_uncertain(probabilities, 3).tolist() == [1, 3, 2]


def test_without_label_come_those_first_that_should_have_most():
    given = np.array([[0, 0], [1, 0], [0, 0], [0, 0]], bool)
    targets = np.array([[0, 0], [1, 1], [1, 1], [1, -1]], np.int8)

    assert without_label(given, targets).tolist() == [2, 3, 0]


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

    rows, losses = highest_losses(probabilities, targets, 2)

    assert rows.tolist() == [2, 1]
    # Means of -log of what each known label was given; of a certainty that is wrong, -log(1e-7).
    assert losses == pytest.approx([0.164252, 0.693147, 16.118096, 0], abs=1e-5)
