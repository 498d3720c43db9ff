"""Policies as JSON and back."""

import json

import numpy as np
import pytest

from polytag.policy.cross_fit import Found
from polytag.policy.exclusive_groups import ExclusivePolicy
from polytag.policy.fixed import FixedPolicy
from polytag.policy.stored import policy_from_dict
from polytag.policy.thresholds import Thresholds
from polytag.policy.top_k import TopK

CLASSES, SHUFFLED = ["a", "b", "c", "d"], ["c", "a", "d", "b"]
SEARCHED = (0.1 + 0.2, float("inf"), 2.0**-30, 1 / 3)
POLICIES = [
    FixedPolicy(0.3),
    TopK(2, 0.1),
    *(Thresholds(kind, SEARCHED) for kind in ("global", "per_class", "at_precision")),
    ExclusivePolicy(((0, 2),), Thresholds("per_class", (float("inf"), 0.2, float("inf"), 0.7))),
    ExclusivePolicy(((3, 1),), TopK(1)),
    ExclusivePolicy(((3, 1), (0, 2)), FixedPolicy(0.2)),
]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_every_policy_comes_back(policy):
    stored = json.loads(json.dumps(Found(policy, {"honest": 0.5}).to_dict(CLASSES), allow_nan=False))
    assert policy_from_dict(stored, CLASSES) == policy


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_also_for_the_classes_in_another_order(policy):
    probabilities = np.random.default_rng(0).random((50, 4)).astype(np.float32)
    columns = [CLASSES.index(name) for name in SHUFFLED]
    shuffled = policy_from_dict(policy.to_dict(CLASSES), SHUFFLED)
    assert np.array_equal(shuffled.decide(probabilities[:, columns]), policy.decide(probabilities)[:, columns])


def test_thresholds_by_name_none_for_never_and_no_others():
    assert Thresholds("global", SEARCHED).to_dict(CLASSES) == {
        "kind": "global",
        "thresholds": {"a": 0.30000000000000004, "b": None, "c": 2.0**-30, "d": 1 / 3},
    }
    assert TopK(2).to_dict(CLASSES)["thresholds"] == {}
    assert set(POLICIES[5].to_dict(CLASSES)["thresholds"]) == {"b", "d"}
