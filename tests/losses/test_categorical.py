"""Softmax cross-entropy with shared targets against torch's own."""

import math

import pytest
import torch
from torch import tensor
from torch.nn.functional import cross_entropy

from polytag.losses.categorical import Categorical

NAN = float("nan")


def test_labels_share_the_target_and_rows_without_one_are_left_out():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    shares = tensor([[0.5, 0, 0.5, 0], [0, 1, 0, 0]])
    loss = Categorical()(logits, tensor([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    assert loss.item() == pytest.approx(cross_entropy(logits[:2], shares).item(), rel=1e-6)


def test_unknown_classes_take_no_part_in_the_softmax():
    # 3/4 and 1/4 are left of three logits.
    loss = Categorical()(tensor([[math.log(3), 0.0, 5.0]]), tensor([[0.0, 1, NAN]]))
    assert loss.item() == pytest.approx(1.386294, abs=1e-6)


def test_a_row_mixed_with_one_without_a_label_counts_its_share():
    logits = tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    loss = Categorical()(logits, tensor([[0.4, 0], [0, 1.0]]))
    assert loss.item() == pytest.approx((0.4 * 0.287682 + 1.386294) / 1.4, abs=1e-6)


def test_it_says_what_it_cannot_do(caplog):
    Categorical()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "criterion categorical" in record.getMessage()
    assert "at most one of them can reach a probability above 0.5" in record.getMessage()
