"""Binary cross-entropy against numbers worked out by hand."""

import pytest
import torch
from torch import tensor

from polytag.errors import UserError
from polytag.losses.bce import BCE

# -log sigmoid(2) = log(1 + e^-2) = 0.126928;  -log(1 - sigmoid(2)) = log(1 + e^2) = 2.126928
RIGHT, WRONG = 0.126928, 2.126928


@pytest.mark.parametrize(
    ("logit", "target", "loss"),
    [(2.0, 1, RIGHT), (2.0, 0, WRONG), (-2.0, 1, WRONG), (-2.0, 0, RIGHT), (0.0, 1, 0.693147)],
)
def test_each_branch(logit, target, loss):
    assert BCE()(tensor([[logit]]), tensor([[target]])).item() == pytest.approx(loss, abs=1e-6)


def test_the_mean_is_over_images_and_labels():
    logits = tensor([[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]])
    targets = tensor([[1, 0, 1], [1, 1, 1]], dtype=torch.uint8)
    assert BCE()(logits, targets).item() == pytest.approx((5 * RIGHT + WRONG) / 6, abs=1e-6)


def test_pos_weight_multiplies_the_positives_of_its_class():
    logits, targets = tensor([[2.0, 2.0], [2.0, 2.0]]), tensor([[1.0, 1.0], [0.0, 0.0]])
    expected = (3 * RIGHT + 0.5 * RIGHT + WRONG + WRONG) / 4
    assert BCE(pos_weight=[3.0, 0.5])(logits, targets).item() == pytest.approx(expected, abs=1e-6)
    assert BCE(pos_weight=[3.0, 0.5]).state_dict() == {}


def test_label_smoothing_mixes_the_branches():
    # target 1 becomes 0.9, target 0 becomes 0.1
    loss = BCE(label_smoothing=0.2)
    assert loss(tensor([[2.0]]), tensor([[1.0]])).item() == pytest.approx(0.9 * RIGHT + 0.1 * WRONG, abs=1e-6)
    assert loss(tensor([[2.0]]), tensor([[0.0]])).item() == pytest.approx(0.1 * RIGHT + 0.9 * WRONG, abs=1e-6)


def test_extreme_logits_stay_finite_with_their_gradients():
    logits = tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    loss = BCE(pos_weight=[2.0] * 4)(logits, tensor([[1.0, 0.0, 0.0, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4 * (1 + 2) / 4)
    # d loss / d logit = (sigmoid - target) * weight / 4
    assert logits.grad.tolist() == [pytest.approx([0.0, 0.0, 0.25, -0.5])]


def test_low_precision_logits_give_a_32_bit_loss():
    loss = BCE()(tensor([[2.0]], dtype=torch.bfloat16), tensor([[1.0]]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(RIGHT, abs=1e-6)


def test_mistakes_are_named():
    with pytest.raises(UserError, match=r"label_smoothing=1\.0"):
        BCE(label_smoothing=1.0)
    with pytest.raises(UserError, match=r"pos_weight=\[1.0, 0.0\]"):
        BCE(pos_weight=[1.0, 0.0])
    with pytest.raises(UserError, match="2 numbers for 3 classes"):
        BCE(pos_weight=[1.0, 2.0])(torch.zeros(1, 3), torch.zeros(1, 3))
