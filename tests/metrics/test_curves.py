import numpy as np
import pytest
from sklearn.metrics import fbeta_score, precision_recall_curve

from polytag.metrics.curves import ALL, MAX_POINTS, curves

TARGETS = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 0], [0, 1, 0]], np.int8)
PROBABILITIES = np.array([[0.9, 0.2, 0.1], [0.4, 0.8, 0.1], [0.6, 0.9, 0.1], [0.1, 0.3, 0.1]], np.float32)
CLASSES = ("a", "b", "never")


def test_precision_and_recall_at_each_positive_by_hand():
    together, a, b = curves(PROBABILITIES, TARGETS, CLASSES)

    assert [curve.name for curve in (together, a, b)] == [ALL, "a", "b"]  # a class that no image has has no curve
    assert a.thresholds == pytest.approx([0.9, 0.4])
    assert a.precision.tolist() == [1, 2 / 3]
    assert a.recall.tolist() == [0.5, 1]
    assert b.precision.tolist() == [1, 1]  # the image at 0.9, of which nobody knows, does not count
    assert (a.chance, b.chance) == (0.5, 2 / 3)


def test_the_corners_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, (60, 1)).astype(np.int8)
    probabilities = generator.random((60, 1)).round(2).astype(np.float32)

    _, curve = curves(probabilities, targets, ["a"])

    precision, recall, thresholds = precision_recall_curve(targets[:, 0], probabilities[:, 0])
    theirs = {float(t): (p, r) for p, r, t in zip(precision, recall, thresholds, strict=False)}
    for threshold, *ours in zip(curve.thresholds, curve.precision, curve.recall, strict=True):
        assert theirs[float(np.float32(threshold))] == pytest.approx(ours)
    assert len(curve.thresholds) == len(np.unique(probabilities[targets == 1]))


def test_given_thresholds_are_taken_for_all_classes():
    _, a, b = curves(PROBABILITIES, TARGETS, CLASSES, np.array([0.0, 0.5, 0.95]))

    assert a.thresholds.tolist() == b.thresholds.tolist() == [0.95, 0.5, 0]
    assert a.recall.tolist() == [0, 0.5, 1]
    assert np.isnan(a.precision[0])  # nothing is given
    assert a.precision[1:].tolist() == [0.5, 0.5]
    for beta in (1, 2):
        given = PROBABILITIES[:, 0] >= 0.5
        assert a.f_beta(beta)[1] == pytest.approx(fbeta_score(TARGETS[:, 0], given, beta=beta))


def test_f_beta_is_0_where_no_given_label_is_right():
    _, curve = curves(np.array([[0.9], [0.1]], np.float32), np.array([[0], [1]], np.int8), ["a"], np.array([0.5]))

    assert curve.f_beta(2).tolist() == [0]


def test_of_very_many_thresholds_some_are_taken_from_the_first_to_the_last():
    probabilities = np.linspace(0.1, 0.9, 5000, dtype=np.float32)[:, None]

    _, curve = curves(probabilities, np.ones((5000, 1), np.int8), ["a"])

    assert len(curve.thresholds) == MAX_POINTS
    assert (curve.thresholds[0], curve.thresholds[-1]) == pytest.approx((0.9, 0.1))
    assert curve.recall[-1] == 1
