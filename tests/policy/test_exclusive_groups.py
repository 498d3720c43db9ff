"""One label of each group, and another policy for the others."""

import numpy as np
import pytest
import torch

from polytag.errors import UserError
from polytag.policy.exclusive_groups import ExclusivePolicy, ExclusiveSearch, exclusive_groups, likeliest
from polytag.policy.fixed import FixedPolicy
from polytag.policy.precision_search import AtPrecision
from polytag.policy.threshold_search import ClassThresholds, GlobalThreshold
from polytag.policy.top_k import TopK

CLASSES = ("clear", "water", "haze", "road", "day", "night")
GROUPS = (("clear", "haze"), ("night", "day"))
COLUMNS = ((0, 2), (5, 4))
PROBABILITIES = np.array(
    [
        [0.9, 0.6, 0.8, 0.1, 0.2, 0.1],
        [0.1, 0.4, 0.1, 0.5, 0.3, 0.3],  # equal ones in both groups: the first of the group, whatever its column
        [0.0, 0.0, 0.0, 0.0, 0.7, 0.9],
    ],
    np.float32,
)


def test_exactly_one_of_each_group_and_thresholds_for_the_rest():
    policy = exclusive_groups(GROUPS, FixedPolicy(0.5), CLASSES)
    expected = [[1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 1], [1, 0, 0, 0, 0, 1]]
    assert policy.decide(PROBABILITIES).tolist() == np.array(expected, bool).tolist()
    as_tensor = policy.decide(torch.from_numpy(PROBABILITIES))
    assert as_tensor.dtype == torch.bool and as_tensor.tolist() == np.array(expected, bool).tolist()


@pytest.mark.parametrize("rest", [FixedPolicy(0.0), TopK(6), TopK(1), FixedPolicy(1.0)])
def test_whatever_decides_the_rest(rest):
    labels = ExclusivePolicy(COLUMNS, rest).decide(PROBABILITIES)
    for group in COLUMNS:
        assert (labels[:, group].sum(1) == 1).all()


def test_the_likeliest_of_the_rest_are_not_crowded_out_by_the_groups():
    labels = ExclusivePolicy(COLUMNS, TopK(1)).decide(PROBABILITIES)
    assert labels[:, [1, 3]].tolist() == [[True, False], [False, True], [True, False]]


def test_the_given_probabilities_stay_as_they_are():
    before = PROBABILITIES.copy()
    ExclusivePolicy(COLUMNS, FixedPolicy(0.5)).decide(PROBABILITIES)
    assert np.array_equal(before, PROBABILITIES)


def test_the_rest_is_searched_with_the_labels_of_the_groups_in_place():
    # Under the image average a label is worth what it adds to those that the image has anyway.
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 6)) < 0.3).astype(np.int8)
    targets[:, [0, 2]] = np.eye(2, dtype=np.int8)[rng.integers(2, size=40)]
    probabilities = np.clip(rng.normal(0.3 + 0.3 * targets, 0.25), 0, 1).astype(np.float32)
    for rest in (
        GlobalThreshold(average="images"),
        ClassThresholds(average="images", shrinkage=0, min_support=1),
        ClassThresholds(average="micro", shrinkage=0, min_support=1),
    ):
        search = exclusive_groups(GROUPS, rest, CLASSES)
        assert isinstance(search, ExclusiveSearch)
        found = search.find(probabilities, targets)
        assert isinstance(found, ExclusivePolicy) and found.groups == COLUMNS
        labels = found.decide(probabilities)
        assert np.array_equal(labels[:, [0, 2, 4, 5]], likeliest(probabilities, COLUMNS)[:, [0, 2, 4, 5]])
        best, values = search.score(labels, targets), np.array(found.rest.values)
        assert np.isinf(values[[0, 2, 4, 5]]).all()
        # No other threshold of the rest, or of one class of it, is better.
        for column in (1, 3):
            for cut in probabilities[:, column].astype(np.float64):
                changed = likeliest(probabilities, COLUMNS)
                tried = np.full(2, cut) if type(rest) is GlobalThreshold else values[[1, 3]].copy()
                tried[(1, 3).index(column)] = cut
                changed[:, [1, 3]] = probabilities[:, [1, 3]] >= tried
                assert search.score(changed, targets) <= best + 1e-12


def test_a_search_speaks_for_the_rest():
    search = exclusive_groups(GROUPS, ClassThresholds(2, "images", folds=7, seed=3), CLASSES)
    assert (search.folds, search.seed, search.method) == (7, 3, "coordinate ascent")
    assert search.describe_score() == "F2 (images)"
    assert search.stand_in == ExclusivePolicy(COLUMNS, FixedPolicy(0.5))
    assert exclusive_groups(GROUPS, AtPrecision(), CLASSES).method == "exact"


def test_groups_may_hold_all_classes():
    found = exclusive_groups([CLASSES], GlobalThreshold(), CLASSES).find(PROBABILITIES, np.zeros((3, 6), np.int8))
    assert (found.decide(PROBABILITIES).sum(1) == 1).all()


def test_what_is_written_to_disk():
    stored = exclusive_groups(GROUPS, FixedPolicy(0.5), CLASSES).to_dict(CLASSES)
    assert stored["kind"] == "exclusive_groups" and stored["rest"]["kind"] == "fixed"
    assert stored["groups"] == [["clear", "haze"], ["night", "day"]]
    assert stored["thresholds"] == {"water": 0.5, "road": 0.5}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "is empty"),
        ([["clear"]], "two classes or more"),
        (["clear"], "two classes or more"),
        ([["clear", "hase"]], "'hase', which is no class. Did you mean 'haze'"),
        ([["clear", "haze"], ["clear", "day"]], "'clear' twice"),
    ],
)
def test_mistakes_are_named(groups, message):
    with pytest.raises(UserError, match=rf"^data\.exclusive_groups.*{message}"):
        exclusive_groups(groups, FixedPolicy(), CLASSES)
