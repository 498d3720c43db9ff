"""Grouped softmax by hand: logits log 3 and 0 in a group are 3/4 and 1/4; 0 outside is 1/2."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from polytag.errors import UserError
from polytag.losses.grouped_softmax import GroupedSoftmax

CLASSES = ("road", "clear", "haze")
GROUPS = [["clear", "haze"]]
LOGITS = tensor([[0.0, math.log(3), 0.0]])
LIKELY, UNLIKELY, HALF = 0.287682, 1.386294, 0.693147  # -log of 3/4, 1/4, 1/2
NAN = float("nan")


@pytest.mark.parametrize(
    ("targets", "loss"),
    [
        ([1, 1, 0], (HALF + LIKELY) / 2),
        ([0, 0, 1], (HALF + UNLIKELY) / 2),
        ([1, 1, 1], (HALF + (LIKELY + UNLIKELY) / 2) / 2),  # several share the answer
        ([1, 0, 0], HALF),  # none: the group is left out
        ([1, NAN, 0], HALF),  # unknown, and nothing present: likewise
        ([1, -1, -1], HALF),
        ([1, NAN, 1], (HALF + UNLIKELY) / 2),  # unknown, but another is present
        ([NAN, 0, 1], UNLIKELY),
        ([1, 0.6, 0.4], (HALF + 0.6 * LIKELY + 0.4 * UNLIKELY) / 2),  # two images mixed
        ([1, 0.6, 0.0], (HALF + 0.6 * LIKELY) / 1.6),  # mixed with one that has neither
    ],
)
def test_by_hand(targets, loss):
    assert GroupedSoftmax(GROUPS, CLASSES)(LOGITS, tensor([targets]).float()).item() == pytest.approx(loss, abs=1e-6)


def test_the_mean_is_over_all_questions_of_the_batch():
    loss = GroupedSoftmax(GROUPS, CLASSES)(LOGITS.expand(2, 3), tensor([[1.0, 1, 0], [1, 0, 0]]))
    assert loss.item() == pytest.approx((2 * HALF + LIKELY) / 3, abs=1e-6)


def test_several_groups_and_nothing_beside_them():
    grouped = GroupedSoftmax([["a", "d"], ["c", "b"]], tuple("abcd"))
    assert grouped.activation.groups == ((0, 3), (2, 1))
    loss = grouped(tensor([[math.log(3), 0.0, math.log(3), 0.0]]), tensor([[1.0, 1, 0, 0]]))
    assert loss.item() == pytest.approx((LIKELY + UNLIKELY) / 2, abs=1e-6)


def test_probabilities_share_1_in_a_group():
    assert GroupedSoftmax(GROUPS, CLASSES).activation(LOGITS)[0].tolist() == pytest.approx([0.5, 0.75, 0.25])


def test_rows_that_do_not_have_one_of_a_group_are_counted(caplog):
    targets = np.array([[0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, -1]], np.int8)
    GroupedSoftmax(GROUPS, CLASSES, targets[:1])
    assert not caplog.records
    GroupedSoftmax(GROUPS, CLASSES, targets)
    assert "of 4 training images 2 have none of clear, haze" in caplog.text
    assert "1 have several" in caplog.text


def test_without_a_group_it_is_refused():
    with pytest.raises(UserError, match=r"data\.exclusive_groups is empty"):
        GroupedSoftmax([], CLASSES)


def test_what_is_unknown_beside_a_present_class_is_pushed_down():
    logits = torch.zeros(1, 3, requires_grad=True)
    GroupedSoftmax(GROUPS, CLASSES)(logits, tensor([[NAN, 1.0, NAN]])).backward()
    assert logits.grad[0].tolist() == pytest.approx([0, -0.5, 0.5])
