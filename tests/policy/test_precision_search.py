"""Thresholds at a required precision."""

import numpy as np
import pytest

from polytag.errors import UserError
from polytag.policy.precision_search import AtPrecision

# Down to each label, 1/1, 2/2, 2/3, 3/4, 3/5 are right.
PROBABILITIES = np.array([[0.9], [0.8], [0.6], [0.4], [0.2]], np.float32)
TARGETS = np.array([[1], [1], [0], [1], [0]], np.int8)


@pytest.mark.parametrize(("precision", "threshold"), [(1.0, 0.7), (0.9, 0.7), (0.75, 0.3), (0.1, 0.3)])
def test_the_lowest_threshold_with_the_precision(precision, threshold):
    found = AtPrecision(precision, min_support=1).find(PROBABILITIES, TARGETS)
    assert found.kind == "at_precision" and found.values == pytest.approx((threshold,))


def test_what_is_out_of_reach_or_unknown_is_never_given():
    wrong_first = np.array([[0], [1], [1], [1], [1]], np.int8)  # 4/5 at most
    assert AtPrecision(0.9, min_support=1).find(PROBABILITIES, wrong_first).values == (np.inf,)
    assert AtPrecision(0.8, min_support=1).find(PROBABILITIES, wrong_first).values == pytest.approx((0.1,))
    assert AtPrecision(0.1, min_support=4).find(PROBABILITIES, TARGETS).values == (np.inf,)  # three positives
    unknown = np.array([[-1], [1], [1], [1], [1]], np.int8)
    assert AtPrecision(0.9, min_support=1).find(PROBABILITIES, unknown).values == pytest.approx((0.1,))


def test_only_the_columns_have_a_threshold():
    twice = np.hstack([PROBABILITIES] * 2), np.hstack([TARGETS] * 2)
    found = AtPrecision(min_support=1).thresholds(*twice, np.array([1]), np.zeros((5, 2), bool))
    assert np.isinf(found[0]) and found[1] == pytest.approx(0.7)


def test_the_score_is_the_mean_precision_of_the_classes_that_are_given():
    search = AtPrecision()
    targets = np.array([[1, 0, 1], [0, 1, -1], [1, -1, 0]], np.int8)
    labels = np.array([[True, True, False], [True, True, False], [False, True, False]])
    assert search.score(labels, targets) == 0.5  # 1/2, 1/2 of those that are known, and none
    assert np.isnan(search.score(np.zeros((3, 3), bool), targets))
    assert search.describe_score() == "precision (macro, 0.9 required)"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("precision", value) for value in (0, 90, -0.1, float("nan"), "high", None)),
        *(("folds", value) for value in (1, "five")),
        *(("seed", value) for value in (-1, None)),
        *(("min_support", value) for value in (0, 1.5)),
    ],
)
def test_mistakes_are_named(option, value):
    with pytest.raises(UserError) as refused:
        AtPrecision(**{option: value})
    assert f"policy.{option}={value}" in str(refused.value) and "\n" not in str(refused.value)
