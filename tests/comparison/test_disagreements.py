"""Images that one run gets right and another wrong."""

import numpy as np

from polytag.comparison.disagreements import disagreement


def test_the_most_certain_mistakes_come_first():
    targets = np.array([[1, 0], [1, 0], [0, 1], [1, -1], [0, 0], [1, 0]], np.int8)
    first = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.2], [0.9, 0.9], [0.6, 0.1], [0.9, 0.1]], np.float32)
    second = np.array([[0.4, 0.1], [0.05, 0.2], [0.1, 0.7], [0.9, 0.1], [0.7, 0.1], [0.8, 0.95]], np.float32)
    found = disagreement(targets, (first, second), (first >= 0.5, second >= 0.5))
    # 3: an unknown label is no mistake. 4: both give a wrong one.
    assert (found.both, found.neither) == (1, 1)
    assert found.first_alone.tolist() == [1, 5, 0]  # sure of 0.95 (missed and given, in their order), 0.6
    assert found.second_alone.tolist() == [2]


def test_certainty_is_that_of_the_wrong_label_under_any_threshold():
    targets = np.array([[0, 0], [0, 0]], np.int8)
    wrong = np.array([[0.2, 0.0], [0.3, 0.0]], np.float32)
    right = np.zeros((2, 2), np.float32)
    found = disagreement(targets, (right, wrong), (right > 0.1, wrong > 0.1))
    assert found.first_alone.tolist() == [1, 0]
