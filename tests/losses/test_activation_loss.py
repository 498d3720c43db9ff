"""Each activation with each loss: the numbers of Keras's documentation, and outputs worked out by hand."""

import numpy as np
import pytest
import torch
from torch import tensor
from torch.nn.functional import cross_entropy

from polytag.errors import UserError
from polytag.losses.activation_loss import ActivationLoss


def logits_for(activation, outputs):
    """Return logits that an activation turns into these outputs."""
    outputs = tensor(outputs, dtype=torch.float64)
    return (outputs.logit() if activation == "sigmoid" else outputs.log()).float()


def test_binary_cross_entropy_is_that_of_the_documentation():
    # keras.io, BinaryCrossentropy: 0.8149 for probabilities, 0.865 for the logits
    outputs, targets = [[0.6, 0.4], [0.4, 0.6]], tensor([[0.0, 1], [0, 0]])
    loss = ActivationLoss("sigmoid", "bce")(logits_for("sigmoid", outputs), targets)
    assert loss.item() == pytest.approx(0.8149, abs=1e-4)
    logits = tensor([[-18.6, 0.51], [2.94, -12.8]])
    assert ActivationLoss("none", "bce")(logits, tensor([[0.0, 1], [0, 0]])).item() == pytest.approx(0.865, abs=1e-3)


@pytest.mark.parametrize("loss", ["ce", "sparse_ce"])
def test_cross_entropy_is_that_of_the_documentation(loss):
    # keras.io, CategoricalCrossentropy: -log 0.95 and -log 0.1
    outputs, targets = [[0.05, 0.95, 1e-9], [0.1, 0.8, 0.1]], tensor([[0.0, 1, 0], [0, 0, 1]])
    value = ActivationLoss("softmax", loss)(logits_for("softmax", outputs), targets)
    assert value.item() == pytest.approx(1.1769392, abs=1e-6)


@pytest.mark.parametrize(
    ("activation", "loss", "outputs", "targets", "expected"),
    [
        # Outputs 3/4 and 1/4: -log is 0.287682 and 1.386294, of the opposite the other way round.
        ("softmax", "bce", [0.75, 0.25], [1, 0], 0.287682),
        ("softmax", "bce", [0.75, 0.25], [1, 1], (0.287682 + 1.386294) / 2),
        ("softmax", "bce", [0.75, 0.25], [0.5, 0], ((0.287682 + 1.386294) / 2 + 0.287682) / 2),
        # Several labels add up.
        ("softmax", "ce", [0.75, 0.25], [1, 1], 0.287682 + 1.386294),
        ("none", "ce", [0.75, 0.25], [1, 1], 0.287682 + 1.386294),
        ("softmax", "ce", [0.75, 0.25], [0, 0], 0.0),
        # Outputs 0.6 and 0.2 are divided by 0.8.
        ("sigmoid", "ce", [0.6, 0.2], [1, 0], 0.287682),
        ("sigmoid", "ce", [0.6, 0.2], [1, 1], 0.287682 + 1.386294),
        ("sigmoid", "sparse_ce", [0.6, 0.2], [0, 1], 1.386294),
    ],
)
def test_by_hand(activation, loss, outputs, targets, expected):
    logits = logits_for(activation, [outputs])
    value = ActivationLoss(activation, loss)(logits, tensor([targets]).float())
    assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "none"])
def test_one_label_an_image_is_torchs_cross_entropy_with_the_number_of_the_class(activation):
    logits, classes = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), tensor([2, 0, 1, 1])
    targets = torch.eye(3)[classes]
    expected = cross_entropy(logits, classes).item()
    loss = ActivationLoss(activation, "sparse_ce", targets.numpy().astype(np.int8))
    assert loss(logits, targets).item() == pytest.approx(expected, rel=1e-6)


def test_outputs_are_cut_off_as_in_keras_where_a_pair_is_no_standard_one():
    # -log 1e-7 = 16.118; of 1 - (1 - 1e-7) 32 bits make 15.942. The standard pair goes on with the logits.
    far, targets = tensor([[99.0, 0.0]]), tensor([[0.0, 1.0]])
    assert ActivationLoss("softmax", "bce")(far, targets).item() == pytest.approx((15.942 + 16.118) / 2, abs=1e-3)
    assert ActivationLoss("sigmoid", "ce")(far - 99.0 * targets, targets).item() == pytest.approx(16.118, abs=1e-3)
    assert ActivationLoss("softmax", "ce")(far, targets).item() == pytest.approx(99.0)
    assert ActivationLoss("sigmoid", "bce")(far, targets).item() == pytest.approx((99 + 0.693147) / 2, abs=1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "none"])
@pytest.mark.parametrize("loss", ["bce", "ce", "sparse_ce"])
def test_every_pair_is_finite_on_extreme_logits_and_blind_to_what_is_unknown(activation, loss):
    criterion = ActivationLoss(activation, loss)
    values = tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [3.0, 1.0, 2.0]], dtype=torch.bfloat16)
    targets = tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1], [float("nan"), 0, 1]])
    logits = values.clone().requires_grad_()
    value = criterion(logits, targets)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad[3, 0] == 0
    values[3, 0] = -77
    assert criterion(values, targets).item() == value.item()


@pytest.mark.parametrize(
    ("activation", "loss", "words"),
    [
        ("softmax", "bce", "at most one can reach more than 0.5"),
        ("softmax", "ce", "at most one can reach more than 0.5"),
        ("sigmoid", "ce", "with one another only"),
        ("none", "ce", "with one another only"),
        ("none", "bce", "a threshold of 0.5 on a logit is one of 0.62"),
        ("none", "sparse_ce", "a threshold of 0.5 on a logit is one of 0.62"),
    ],
)
def test_pairs_that_mislead_say_so_by_name(caplog, activation, loss, words):
    built = ActivationLoss(activation, loss)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"criterion {activation} x {loss}: ")
    assert words in record.getMessage()
    assert built.activation.kind == activation


def test_pairs_that_work_say_nothing(caplog):
    ActivationLoss("sigmoid", "bce")
    ActivationLoss("softmax", "sparse_ce")
    assert not caplog.records


def test_an_integer_cannot_hold_several_labels():
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, -1, 1]], np.int8)
    with pytest.raises(UserError, match=r"cannot hold several labels or none: 2 of 4 training images"):
        ActivationLoss("softmax", "sparse_ce", targets)
    ActivationLoss("softmax", "sparse_ce", targets[[0, 3]])
    ActivationLoss("softmax", "ce", targets)


def test_mistakes_are_named():
    with pytest.raises(UserError, match=r"criterion\.activation=sigmoit is none of .*Did you mean 'sigmoid'"):
        ActivationLoss("sigmoit")
    with pytest.raises(UserError, match=r"criterion\.loss=sparse is none of bce, ce, sparse_ce"):
        ActivationLoss(loss="sparse")
    with pytest.raises(UserError, match=r"criterion\.activation=None is none of"):
        ActivationLoss(None)
