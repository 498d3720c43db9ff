"""Focal loss against torchvision and by hand."""

import pytest
import torch
from torch import tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from polytag.errors import UserError
from polytag.losses.focal import Focal


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, generator=generator) * 3, (torch.rand(6, 5, generator=generator) < 0.3).float()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9, 1.0, 0.0])
def test_the_mean_is_torchvisions(gamma, alpha):
    logits, targets = batch()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = Focal(gamma, alpha)(ours, targets)
    expected = sigmoid_focal_loss(theirs, targets, -1 if alpha is None else alpha, gamma, reduction="mean")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    expected.backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_without_gamma_and_alpha_it_is_binary_cross_entropy():
    logits, targets = batch()
    expected = binary_cross_entropy_with_logits(logits, targets)
    assert Focal(gamma=0)(logits, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_what_is_right_counts_less():
    # p = 1/2: (1/2)^2 log 2 = 0.173287.  p = 0.9: 0.01 * 0.105361, a hundredth of the cross-entropy.
    assert Focal()(tensor([[0.0]]), tensor([[1.0]])).item() == pytest.approx(0.173287, abs=1e-6)
    assert Focal()(tensor([[2.197225]]), tensor([[1.0]])).item() == pytest.approx(0.00105361, rel=1e-4)


def test_a_share_counts_as_that_share_of_an_image():
    def loss(target):
        return Focal(alpha=0.25)(tensor([[1.5]]), tensor([[target]])).item()

    assert loss(0.3) == pytest.approx(0.3 * loss(1.0) + 0.7 * loss(0.0), rel=1e-5)


def test_a_gamma_below_1_has_a_gradient_where_all_is_right():
    logits = tensor([[200.0, -200.0, 20.0]], requires_grad=True)
    Focal(gamma=0.01)(logits, tensor([[1.0, 0.0, 1.0]])).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("options", [{"gamma": -1.0}, {"alpha": 1.5}, {"alpha": -0.1}])
def test_mistakes_are_named(options):
    ((name, value),) = options.items()
    with pytest.raises(UserError, match=f"criterion.{name}={value}"):
        Focal(**options)
