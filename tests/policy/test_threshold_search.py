"""The searches that configs name: shrinkage, rare classes, classes that are never given."""

import numpy as np
import pytest

from polytag.errors import UserError
from polytag.policy.threshold_search import ClassThresholds, GlobalThreshold
from polytag.policy.thresholds import Thresholds

# The first class is best cut at 0.7 (two positives above, two others below); the second at 0.3.
PROBABILITIES = np.array([[0.9, 0.4], [0.8, 0.4], [0.6, 0.2], [0.6, 0.2]], np.float32)
TARGETS = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], np.int8)
ALL, NOTHING = np.array([0, 1]), np.zeros((4, 2), bool)


def test_one_threshold_for_all_classes():
    # F1 of the classes given down to 0.9, 0.8, 0.6 and 0.4: 2/3 + 0, 1 + 0, 2/3 + 0 and 2/3 + 1.
    found = GlobalThreshold().find(PROBABILITIES, TARGETS)
    assert isinstance(found, Thresholds) and found.kind == "global"
    assert found.values == pytest.approx((0.3, 0.3))


def test_a_threshold_for_each_class():
    for average in ("macro", "micro", "images"):
        found = ClassThresholds(1, average, 1, shrinkage=0, min_support=1).find(PROBABILITIES, TARGETS)
        assert found.kind == "per_class"
        assert np.array_equal(found.decide(PROBABILITIES), TARGETS == 1)


def test_few_positives_pull_a_threshold_to_the_common_one():
    # Two positives and a shrinkage of 6: a quarter of its own and three quarters of 0.3.
    found = ClassThresholds(shrinkage=6, min_support=1).find(PROBABILITIES, TARGETS)
    assert found.values == pytest.approx((0.25 * 0.7 + 0.75 * 0.3, 0.3))


def test_a_class_with_too_few_positives_gets_the_common_threshold():
    targets = TARGETS.copy()
    targets[0, 0] = -1  # one positive is left: the first class is best cut at 0.7 still
    for average in ("macro", "micro"):
        common = GlobalThreshold(average=average).find(PROBABILITIES, targets).values[0]
        found = ClassThresholds(average=average, shrinkage=0, min_support=2).find(PROBABILITIES, targets)
        assert found.values[0] == common == pytest.approx(0.3)
        enough = ClassThresholds(average=average, shrinkage=0, min_support=1).find(PROBABILITIES, targets)
        assert enough.values == pytest.approx((0.7, 0.3))


@pytest.mark.parametrize("average", ["macro", "micro", "images"])
def test_only_the_columns_have_a_threshold(average):
    for search in (GlobalThreshold(average=average), ClassThresholds(average=average, min_support=1)):
        found = search.thresholds(PROBABILITIES, TARGETS, np.array([1]), NOTHING)
        assert np.isinf(found[0]) and found[1] == pytest.approx(0.3)
        nothing = search.thresholds(PROBABILITIES, TARGETS, np.array([], np.int64), NOTHING)
        assert np.isinf(nothing).all()


def test_labels_of_other_classes_count_under_the_image_average():
    # The first image has the first label anyway. A second one that is wrong there costs it more than the other gains.
    probabilities = np.array([[0, 0.6], [0, 0.5]], np.float32)
    targets = np.array([[1, 0], [0, 1]], np.int8)
    given = np.array([[True, False], [False, False]])
    search = GlobalThreshold(average="images")
    # With the label: (2/3 + 1) / 2, without (1 + 0) / 2.
    assert search.thresholds(probabilities, targets, np.array([1]), given)[1] == pytest.approx(0.25)
    # Other labels that are wrong do not hide it: thresholds of ungiven columns are none.
    own = ClassThresholds(average="images", shrinkage=0, min_support=1)
    probabilities[:, 0] = 1
    assert own.thresholds(probabilities, targets, np.array([1]), given)[1] == pytest.approx(0.25)


def rare_and_wrong():
    """Return predictions of two classes; the second one's positive is its least likely label."""
    targets = np.zeros((12, 2), np.int8)
    targets[:6, 0] = targets[11, 1] = 1
    probabilities = np.zeros((12, 2), np.float32)
    probabilities[:, 0] = np.where(targets[:, 0], 0.8, 0.2)
    probabilities[:, 1] = np.linspace(0.9, 0.35, 12)
    return probabilities, targets


@pytest.mark.parametrize("average", ["micro", "images"])
def test_a_class_that_is_best_never_given(average):
    probabilities, targets = rare_and_wrong()
    found = ClassThresholds(average=average, shrinkage=0, min_support=1).find(probabilities, targets)
    assert found.values[1] == np.inf
    assert not found.decide(np.ones((1, 2), np.float32))[0, 1]
    assert found.to_dict(["a", "b"])["thresholds"]["b"] is None
    # With shrinkage, 1 stands for never: one positive, so (1 * 1 + 3 * common) / 4.
    common = GlobalThreshold(average=average).find(probabilities, targets).values[0]
    assert common < 1
    shrunk = ClassThresholds(average=average, shrinkage=3, min_support=1).find(probabilities, targets)
    assert shrunk.values[1] == pytest.approx((1 + 3 * common) / 4)


def test_a_common_threshold_that_is_never_reached_can_be_averaged_too():
    # Nine images without a label are likelier than the one with it: no label at all scores 0.9.
    probabilities = np.array([[0.9]] * 9 + [[0.5]], np.float32)
    targets = np.array([[0]] * 9 + [[1]], np.int8)
    settings = {"average": "images", "zero_division": 1}
    assert GlobalThreshold(**settings).find(probabilities, targets).values == (np.inf,)
    assert ClassThresholds(**settings, shrinkage=1, min_support=1).find(probabilities, targets).values == (1.0,)


@pytest.mark.parametrize("average", ["macro", "micro", "images"])
def test_without_any_positive_one_half_stands(average):
    empty = np.zeros((3, 2), np.int8)
    for search in (GlobalThreshold(average=average), ClassThresholds(average=average)):
        assert search.find(PROBABILITIES[:3], empty).values == (0.5, 0.5)
        assert search.find(PROBABILITIES[:0], empty[:0]).values == (0.5, 0.5)


def test_searches_are_called_what_they_are():
    assert GlobalThreshold(average="images").method == "exact"
    methods = [ClassThresholds(average=average).method for average in ("macro", "micro", "images")]
    assert methods == ["exact", "coordinate ascent", "coordinate ascent"]
    assert ClassThresholds(beta=2, average="images").describe_score() == "F2 (images)"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("beta", value) for value in (0, -1, float("inf"), float("nan"), "two", None, [1], True)),
        *(("average", value) for value in ("samples", None, 1)),
        *(("zero_division", value) for value in (0.5, "0", None)),
        *(("folds", value) for value in (1, 2.5, "five", None)),
        *(("seed", value) for value in (-1, 0.5, "x", None)),
        *(("shrinkage", value) for value in (-1, float("nan"), "ten", None)),
        *(("min_support", value) for value in (0, 2.5, "few", None)),
    ],
)
def test_mistakes_are_named(option, value):
    with pytest.raises(UserError) as refused:
        ClassThresholds(**{option: value})
    assert f"policy.{option}={value}" in str(refused.value)
    assert "\n" not in str(refused.value)
