"""The fixed policy."""

import numpy as np
import pytest
import torch

from polytag.errors import UserError
from polytag.policy.fixed import FixedPolicy


def test_a_label_is_given_from_the_threshold_on():
    probabilities = np.array([[0.0, 0.19, 0.2], [0.21, 1.0, 0.5]], np.float32)
    expected = [[False, False, True], [True, True, True]]
    decided = FixedPolicy(0.2).decide(probabilities)
    assert isinstance(decided, np.ndarray) and decided.dtype == bool
    assert decided.tolist() == expected
    as_tensor = FixedPolicy(0.2).decide(torch.from_numpy(probabilities))
    assert isinstance(as_tensor, torch.Tensor) and as_tensor.dtype == torch.bool
    assert as_tensor.tolist() == expected


def test_the_default_is_one_half():
    assert FixedPolicy().decide(np.array([[0.5, 0.49999]], np.float32)).tolist() == [[True, False]]


def test_what_is_written_to_disk():
    assert FixedPolicy(0.25).to_dict(["sea", "sun"]) == {
        "kind": "fixed",
        "threshold": 0.25,
        "thresholds": {"sea": 0.25, "sun": 0.25},
    }


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan")])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(UserError, match=f"threshold={threshold}"):
        FixedPolicy(threshold)
