"""Binary cross-entropy against numbers worked out by hand."""

import numpy as np
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
    targets = tensor([[1, 0, 1], [1, 1, 1]], dtype=torch.int8)
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


def train_targets():
    """Return targets with 3 negatives a positive, 1 a positive beside two unknown, 1/3, no positive, no negative."""
    rows = [[1, 1, 1, 0, 1], [0, 0, 1, 0, 1], [0, -1, 1, -1, 1], [0, -1, 0, -1, 1]]
    return np.array(rows, np.int8)


def test_counts_are_the_negatives_for_each_positive_of_what_is_known(caplog):
    loss = BCE("counts", classes=list("abcde"), train_targets=train_targets())
    assert loss.pos_weight.tolist() == pytest.approx([3, 1, 1 / 3, 1, 1])
    assert loss.pos_weight.dtype == torch.float32
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "weight 1 for d, e:" in warnings[0]
    limited = BCE("counts", max_pos_weight=2, classes=list("abcde"), train_targets=train_targets())
    assert limited.pos_weight.tolist() == pytest.approx([2, 1, 1 / 3, 1, 1])


def test_counts_say_nothing_where_every_class_has_both(caplog):
    BCE("counts", classes=list("abc"), train_targets=train_targets()[:, :3])
    assert not caplog.records


def test_a_limit_holds_for_weights_that_are_given_and_is_idle_without_weights():
    assert BCE([0.5, 9.0], max_pos_weight=4.0).pos_weight.tolist() == [0.5, 4.0]
    assert BCE(max_pos_weight=4.0).pos_weight is None


def test_a_share_counts_as_that_share_of_an_image():
    # 0.3 of an image with the label and 0.7 of one without, the weight on the positive part only
    loss = BCE(pos_weight=[2.0])(tensor([[2.0]]), tensor([[0.3]]))
    assert loss.item() == pytest.approx(0.3 * 2 * RIGHT + 0.7 * WRONG, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.0}, r"label_smoothing=1\.0"),
        ({"pos_weight": [1.0, 0.0]}, r"pos_weight=\[1.0, 0.0\]"),
        ({"pos_weight": [1.0, 2.0], "classes": ["a", "b", "c"]}, "2 numbers for 3 classes: .* a, b, c"),
        ({"pos_weight": "count"}, "pos_weight=count is none of null, counts"),
        ({"pos_weight": 3.0}, r"pos_weight=3\.0 is none of null, counts"),
        ({"max_pos_weight": 0}, "max_pos_weight=0"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(UserError, match=message):
        BCE(**options)
