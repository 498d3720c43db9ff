"""Two-way loss by hand: softplus(a) = log(1 + e^a)."""

import math

import pytest
import torch
from torch import tensor

from polytag.errors import UserError
from polytag.losses.two_way import TwoWay

# softplus(-1) = 0.313262, softplus(-2) = 0.126928, softplus(-3) = 0.048587
IMAGES, CLASSES = (0.313262 + 0.048587) / 2, 0.126928


def test_both_ways_are_added():
    # Images: negative minus positive is 0 - 1 and -1 - 2. Classes: -1 - 1 and 0 - 2.
    logits, targets = tensor([[1.0, 0], [-1, 2]]), tensor([[1.0, 0], [0, 1]])
    assert TwoWay(1, 1)(logits, targets).item() == pytest.approx(IMAGES + CLASSES, abs=1e-6)


def test_what_has_no_positive_is_left_out_of_its_mean():
    # A third image and class without a positive, too low to matter as negatives.
    logits = tensor([[1.0, 0, -99], [-1, 2, -99], [-99, -99, -99]])
    targets = tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    assert TwoWay(1, 1)(logits, targets).item() == pytest.approx(IMAGES + CLASSES, abs=1e-6)


def test_temperatures_soften_the_hardest():
    # Two positives and two negatives, all 0: 4 log 2 + 1 log 2, and log(1 + 2^5) of it. No class has both.
    targets = tensor([[1.0, 1, 0, 0]])
    assert TwoWay()(torch.zeros(1, 4), targets).item() == pytest.approx(math.log(33), abs=1e-6)
    assert TwoWay(1, 3)(torch.zeros(1, 4), targets).item() == pytest.approx(math.log(17), abs=1e-6)
    # Near 0 they leave the lowest positive, 1, and the highest negative, -1.
    logits = tensor([[1.0, 5, -1, -5]])
    assert TwoWay(0.01, 0.01)(logits, targets).item() == pytest.approx(0.126928, abs=1e-5)


def test_only_differences_count():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(5, 4, generator=generator), (torch.rand(5, 4, generator=generator) < 0.4).float()
    assert TwoWay()(logits + 7, targets).item() == pytest.approx(TwoWay()(logits, targets).item(), rel=1e-5)


def test_a_share_stands_on_both_sides():
    # Positives 1/2 e^0, negatives 1/2 e^0 + e^0: log(1 + 1/2 * 3/2) in the image; log(1 + 1/2 * 1/2) in the class.
    loss = TwoWay(1, 1)(torch.zeros(1, 2), tensor([[0.5, 0.0]]))
    assert loss.item() == pytest.approx(math.log(1.75) + math.log(1.25), abs=1e-6)


@pytest.mark.parametrize("name", ["temperature_positive", "temperature_negative"])
def test_mistakes_are_named(name):
    with pytest.raises(UserError, match=rf"criterion\.{name}=0"):
        TwoWay(**{name: 0})
