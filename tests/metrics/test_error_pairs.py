import numpy as np

from polytag.metrics.error_pairs import error_pairs


def test_pairs_of_a_missed_and_a_wrongly_given_label_are_counted():
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, -1, 0], [0, 0, 1]], np.int8)
    decisions = np.array([[0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 1, 0], [0, 0, 1]], bool)

    # The first image misses 0 for 1; the second 0 and 1 for 2; the third misses nothing; of the fourth nobody knows
    # whether 1 is wrong; the fifth is right.
    assert error_pairs(targets, decisions).tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
