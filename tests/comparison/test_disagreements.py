"""Images on which one run has fewer labels wrong than another."""

import numpy as np

from polytag.comparison.disagreements import better_rows, find_mistakes


def test_the_largest_difference_comes_first_then_the_surest_mistake():
    targets = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, -1, 0], [0, 0, 0], [1, 0, 1]], np.int8)
    first = np.array(
        [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.1, 0.2, 0], [0.9, 0.9, 0], [0.6, 0.1, 0], [0.9, 0.1, 0.2]], np.float32
    )
    second = np.array(
        [[0.4, 0.1, 0], [0.05, 0.2, 0], [0.1, 0.7, 0], [0.9, 0.1, 0], [0.7, 0.1, 0], [0.3, 0.6, 0.1]], np.float32
    )
    one, other = (find_mistakes(targets, run, run >= 0.5) for run in (first, second))
    # 3: an unknown label is no mistake. 4: both give a wrong one.
    assert one.counts.tolist() == [0, 0, 1, 0, 1, 1]
    assert other.counts.tolist() == [1, 1, 0, 0, 1, 3]
    assert other.certainty.tolist() == [60, 95, 0, 0, 70, 90]
    assert better_rows(one, other).tolist() == [5, 1, 0]
    assert better_rows(other, one).tolist() == [2]
    assert other.wrong[5].tolist() == [True, True, True]


def test_certainty_is_that_of_the_wrong_label_under_any_threshold():
    targets = np.array([[0, 0], [0, 0]], np.int8)
    wrong = np.array([[0.2, 0.0], [0.3, 0.0]], np.float32)
    right = np.zeros((2, 2), np.float32)
    one, other = (find_mistakes(targets, run, run > 0.1) for run in (right, wrong))
    assert better_rows(one, other).tolist() == [1, 0]
    assert other.certainty.tolist() == [20, 30]
