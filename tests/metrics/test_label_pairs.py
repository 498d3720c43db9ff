import numpy as np

from polytag.metrics.label_pairs import error_pairs, largest, most_frequent, true_pairs, true_shares

CLASSES = ("a", "b", "c")


def test_true_pairs_count_images_with_both_labels_and_unknown_ones_nowhere():
    targets = np.array([[1, 1, 0], [1, 0, -1], [0, 1, 1], [1, 1, -1], [0, 0, 0]], np.int8)

    assert true_pairs(targets).tolist() == [[3, 2, 0], [2, 3, 1], [0, 1, 1]]


def test_counts_do_not_overflow_their_small_integers():
    assert true_pairs(np.ones((300, 2), np.int8)).tolist() == [[300, 300], [300, 300]]


def test_largest_come_first_equal_ones_in_their_order_and_zeros_never():
    assert largest(np.array([2, 5, 0]), CLASSES, 3) == [("b", 5), ("a", 2)]
    assert largest(np.array([4, 4, 4]), CLASSES, 2) == [("a", 4), ("b", 4)]
    assert largest(np.array([0, 0, 0]), CLASSES, 2) == []


def test_most_frequent_keep_the_order_of_the_labels():
    assert most_frequent(np.array([1, 7, 0, 5]), 2).tolist() == [1, 3]
    assert most_frequent(np.array([1, 7, 0, 5]), 9).tolist() == [0, 1, 3]


def test_pairs_of_a_missed_and_a_wrongly_given_label_are_counted():
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, -1, 0], [0, 0, 1]], np.int8)
    decisions = np.array([[0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 1, 0], [0, 0, 1]], bool)

    # The first image misses 0 for 1; the second 0 and 1 for 2; the third misses nothing; of the fourth nobody knows
    # whether 1 is wrong; the fifth is right.
    assert error_pairs(targets, decisions).tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]


def test_shares_are_of_the_images_with_the_label_of_the_row():
    targets = np.array([[1, 1, 0], [1, 0, 0], [1, -1, 0], [0, 1, -1]], np.int8)
    shares = true_shares(targets)
    np.testing.assert_allclose(shares, [[1, 1 / 2, 0], [1 / 2, 1, 0], [np.nan] * 3])
