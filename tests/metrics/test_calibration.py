"""Calibration error, worked out by hand."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from polytag.errors import UserError
from polytag.metrics.bootstrap import bootstrap, interval
from polytag.metrics.calibration import calibration_error, class_calibration_errors, reliability


def test_by_hand(evaluation_of):
    # Class 1, two bins. Below one half: 0.1 and 0.3 say 0.2 and are there in half of the images. Above: 0.6, 0.7, 0.8
    # say 0.7 and are there in all. Two fifths of 0.3 and three fifths of 0.3.
    # Class 2: below: 0.2 says 0.2, absent. Above: 0.9 four times, there in two. One fifth of 0.2, four fifths of 0.4.
    probabilities = [[0.1, 0.2], [0.3, 0.9], [0.6, 0.9], [0.7, 0.9], [0.8, 0.9]]
    evaluation = evaluation_of(probabilities, [[0, 0], [1, 1], [1, 0], [1, 1], [1, 0]])
    assert class_calibration_errors(evaluation, bins=2)[0].tolist() == pytest.approx([0.3, 0.36])
    assert calibration_error(evaluation, bins=2).item() == pytest.approx(0.33)


def test_in_one_bin_it_is_the_gap_of_the_means(evaluation_of):
    evaluation = evaluation_of([[0.2], [0.4], [0.9]], [[0], [1], [1]])
    assert calibration_error(evaluation, bins=1).item() == pytest.approx(2 / 3 - 0.5)


def test_0_and_1_belong_to_the_outer_bins(evaluation_of):
    # 15 bins: 0 lies with 0.06, 1 with 0.94, and each pair says 0.03 too much or too little of its half
    evaluation = evaluation_of([[0.0], [0.06], [1.0], [0.94]], [[0], [0], [1], [1]])
    assert calibration_error(evaluation).item() == pytest.approx(0.03)
    assert calibration_error(evaluation_of([[0.0], [1.0]], [[0], [1]])).item() == 0
    assert calibration_error(evaluation_of([[0.0], [1.0]], [[1], [0]])).item() == 1


def test_what_is_unknown_counts_nowhere(evaluation_of):
    # Class 1 without its third image; of class 2 nothing is known, so the mean is over class 1.
    evaluation = evaluation_of([[0.2, 0.9], [0.4, 0.9], [0.3, 0.9]], [[0, -1], [1, -1], [-1, -1]])
    found = class_calibration_errors(evaluation, bins=1)[0].tolist()
    assert found == pytest.approx([0.2, math.nan], nan_ok=True)
    assert calibration_error(evaluation, bins=1).item() == pytest.approx(0.2)


def test_a_class_without_positives_counts(evaluation_of):
    assert calibration_error(evaluation_of([[0.1, 0.5], [0.3, 0.5]], [[0, 0], [0, 1]])).item() == pytest.approx(0.1)


def test_no_bin_is_refused(evaluation_of):
    with pytest.raises(UserError, match="bins=0"):
        calibration_error(evaluation_of([[0.5]], [[1]]), bins=0)


def test_its_bootstrap_interval_lies_above_it(evaluation_of):
    """Few images a bin make a gap by chance; resampling makes them fewer still. docs/evaluation.md says so."""
    generator = np.random.default_rng(0)
    probabilities = generator.random((200, 3))
    evaluation = evaluation_of(probabilities, generator.random((200, 3)) < probabilities)  # in truth 0
    found = calibration_error(evaluation).item()
    low, _ = interval(bootstrap({"calibration_error": calibration_error}, evaluation, 500)["calibration_error"])
    assert 0 < found < low


def test_reliability_is_what_scikit_learn_draws(evaluation_of):
    generator = np.random.default_rng(3)
    probabilities = generator.random((60, 4))
    targets = generator.integers(0, 2, (60, 4)).astype(np.int8)
    targets[::7, 1] = -1
    found = reliability(evaluation_of(probabilities, targets), bins=10)
    known = targets.ravel() >= 0
    shares, means = calibration_curve(targets.ravel()[known], probabilities.ravel()[known], n_bins=10)
    assert found.shares.tolist() == pytest.approx(shares.tolist())
    assert found.probabilities.tolist() == pytest.approx(means.tolist())
    assert found.counts.sum() == known.sum()


def test_reliability_of_all_labels_together_by_hand(evaluation_of):
    # .1 and .3 are .2 in the mean, and one of two is true; .8 and 1 are .9, and both are true.
    found = reliability(evaluation_of([[0.1, 0.8], [0.3, 1.0]], [[0, 1], [1, 1]]), bins=2)
    assert found.counts.tolist() == [2, 2]
    assert found.shares.tolist() == [0.5, 1]
    assert found.error == pytest.approx((2 * 0.3 + 2 * 0.1) / 4)


def test_reliability_without_any_label_is_undefined(evaluation_of):
    found = reliability(evaluation_of([[0.5]], [[-1]]))
    assert math.isnan(found.error)
    assert found.counts.sum() == 0
