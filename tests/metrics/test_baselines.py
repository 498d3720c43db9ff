"""The trivial baselines, worked out by hand."""

import pytest
import torch

from polytag.metrics import scores
from polytag.metrics.baselines import trivial_baselines
from polytag.policy.fixed import FixedPolicy

METRICS = {
    "map": scores.macro_average_precision,
    "f2": scores.f_beta,
    "f1_micro": scores.f1_micro,
    "accuracy": scores.accuracy,
    "accuracy_policy": scores.accuracy_policy,
}


def test_both_guesses():
    # Training frequencies: 3/4, 1/4 and 0. At 0.2 the guess by frequency gives the first two labels to every image.
    train = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.uint8)
    truth = torch.tensor([[1, 0, 0], [1, 1, 0]], dtype=torch.uint8)
    found = trivial_baselines(train, truth, FixedPolicy(0.2), METRICS)
    assert found["predict nothing"] == pytest.approx(
        {"map": 0.75, "f2": 0, "f1_micro": 0, "accuracy": 3 / 6, "accuracy_policy": 3 / 6}
    )
    # A constant ranks nothing: average precision is the label's share of the images, 2/2 and 1/2.
    assert found["label frequency"] == pytest.approx(
        {"map": 0.75, "f2": (5 / 6 + 1) / 2, "f1_micro": 6 / 7, "accuracy": 5 / 6, "accuracy_policy": 5 / 6}
    )
