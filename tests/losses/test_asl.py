"""Asymmetric loss against timm's, which sums, and against binary cross-entropy."""

import pytest
import torch
from timm.loss import AsymmetricLossMultiLabel
from torch import tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from polytag.errors import UserError
from polytag.losses.asl import ASL


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, generator=generator) * 3, (torch.rand(6, 5, generator=generator) < 0.3).float()


@pytest.mark.parametrize("clip", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(("negative", "positive"), [(4, 0), (4, 1), (2, 2), (0, 0)])
def test_the_mean_is_timms_sum_over_the_number_of_labels(negative, positive, clip):
    logits, targets = batch()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = ASL(negative, positive, clip)(ours, targets)
    source = AsymmetricLossMultiLabel(negative, positive, clip)
    # One label at a time, where a sum over the batch and a mean over it, the default of newer versions, are one.
    values = [source(theirs[i : i + 1, j : j + 1], targets[i : i + 1, j : j + 1]) for i in range(6) for j in range(5)]
    expected = torch.stack(values).sum() / 30
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_without_gammas_and_clip_it_is_binary_cross_entropy():
    logits, targets = batch()
    expected = binary_cross_entropy_with_logits(logits, targets)
    assert ASL(0, 0, 0)(logits, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_negatives_with_a_probability_up_to_the_clip_count_nothing():
    # sigmoid(-2.95) = 0.0497, sigmoid(-2.0) = 0.1192
    logits = tensor([[-2.95, -2.0]], requires_grad=True)
    ASL()(logits, tensor([[0.0, 0.0]])).backward()
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


def test_a_share_counts_as_that_share_of_an_image():
    def loss(target):
        return ASL()(tensor([[1.5]]), tensor([[target]])).item()

    assert loss(0.3) == pytest.approx(0.3 * loss(1.0) + 0.7 * loss(0.0), rel=1e-5)


@pytest.mark.parametrize("options", [{"gamma_negative": -1.0}, {"gamma_positive": -1.0}, {"clip": 1.0}])
def test_mistakes_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(UserError, match=f"criterion.{name}={value}"):
        ASL(**options)
