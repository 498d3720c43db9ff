"""Soft F-beta by hand, and against scikit-learn where the probabilities are 0 and 1."""

import pytest
import torch
from sklearn.metrics import fbeta_score
from torch import tensor

from polytag.errors import UserError
from polytag.losses.soft_f_beta import SoftFBeta


@pytest.mark.parametrize(
    ("average", "beta", "loss"),
    [
        # All probabilities 1/2. F = (1 + b^2) hits / (given + b^2 present), with hits, given, present:
        ("macro", 1.0, 1 - (2 / 3 + 1 / 2) / 2),  # classes a 1, 1, 2; b 1/2, 1, 1; c has no positive
        ("macro", 2.0, 1 - (5 / 9 + 1 / 2) / 2),
        ("micro", 1.0, 1 - 3 / 6),  # 3/2, 3, 3
        ("images", 1.0, 1 - (2 / 5 + 4 / 7) / 2),  # 1/2, 3/2, 1 and 1, 3/2, 2
    ],
)
def test_by_hand(average, beta, loss):
    targets = tensor([[1.0, 0, 0], [1, 1, 0]])
    assert SoftFBeta(beta, average)(torch.zeros(2, 3), targets).item() == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("average", "theirs"), [("macro", "macro"), ("micro", "micro"), ("images", "samples")])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_hard_probabilities_give_the_score(average, theirs, beta):
    generator = torch.Generator().manual_seed(0)
    decided, targets = (torch.rand(12, 4, generator=generator) < 0.5 for _ in range(2))
    targets[:, 0] |= ~targets.any(1)  # so that every image and class has a positive
    expected = 1 - fbeta_score(targets.numpy(), decided.numpy(), beta=beta, average=theirs)
    loss = SoftFBeta(beta, average)((decided.float() - 0.5) * 200, targets.float())
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_class_without_a_positive_counts_with_micro_only():
    logits = torch.zeros(2, 2, requires_grad=True)
    targets = tensor([[1.0, 0], [0, 0]])
    SoftFBeta(average="macro")(logits, targets).backward()
    assert logits.grad[:, 1].tolist() == [0, 0]
    assert (logits.grad[:, 0] != 0).all()
    logits.grad = None
    SoftFBeta(average="micro")(logits, targets).backward()
    assert (logits.grad[:, 1] > 0).all()


def test_a_share_is_that_share_of_a_positive():
    # hits 0.3/2, given 1/2, present 0.3: F = 2 * 0.15 / 0.8
    assert SoftFBeta()(torch.zeros(1, 1), tensor([[0.3]])).item() == pytest.approx(1 - 0.375, abs=1e-6)


def test_mistakes_are_named():
    with pytest.raises(UserError, match=r"criterion\.beta=0"):
        SoftFBeta(beta=0)
    with pytest.raises(
        UserError, match=r"criterion\.average=micr is none of macro, micro, images\. Did you mean 'micro'"
    ):
        SoftFBeta(average="micr")
