"""Curves against torch's schedulers and against numbers written out."""

import math

import pytest
import torch

from polytag.errors import UserError
from polytag.schedule.curves import Constant, Cycles, FlatCosine, OneCycle, WarmupCosine


def torch_rates(scheduler_class, steps, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = scheduler_class(optimizer, **options)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("count", "length", "mult"), [(1, 3, 1), (3, 1, 2), (2, 2, 3)])
def test_cycles_equal_torch_warm_restarts(count, length, mult):
    curve = Cycles(count, length, mult)
    batches = 7
    steps = curve.epochs * batches
    expected = torch_rates(
        torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, steps, T_0=length * batches, T_mult=mult
    )
    assert [curve.factor(i / batches, curve.epochs) for i in range(steps)] == pytest.approx(expected, abs=1e-9)


def test_cycles_last_one_two_and_four_epochs():
    assert Cycles(count=3, length=1, mult=2).epochs == 7
    curve = Cycles(3, 1, 2)
    assert [curve.factor(p, 7) for p in (0, 1, 3)] == [1.0, 1.0, 1.0]  # each restart is at the peak
    assert curve.factor(0.5, 7) == pytest.approx(0.5)
    assert curve.factor(2.0, 7) == pytest.approx(0.5)  # half of the second cycle
    assert curve.factor(7.0, 7) == 0.0


def test_one_cycle_equals_torch():
    steps = 40
    # torch counts the steps from 0 to total - 1; one step more makes both shares the same.
    expected = torch_rates(
        torch.optim.lr_scheduler.OneCycleLR,
        steps,
        max_lr=1.0,
        total_steps=steps + 1,
        pct_start=(0.25 * steps + 1) / (steps + 1),
        div_factor=25.0,
        final_div_factor=1e5 / 25,
    )
    curve = OneCycle(pct_start=0.25, div=25.0, final_div=1e5)
    assert [curve.factor(4 * i / steps, 4) for i in range(steps)] == pytest.approx(expected, abs=1e-9)


def test_one_cycle_at_written_out_points():
    curve = OneCycle(pct_start=0.25, div=25.0, final_div=1e5)
    assert curve.factor(0.0, 4) == pytest.approx(0.04)
    assert curve.factor(0.5, 4) == pytest.approx(0.52)  # half way up: (0.04 + 1) / 2
    assert curve.factor(1.0, 4) == pytest.approx(1.0)
    assert curve.factor(4.0, 4) == pytest.approx(1e-5)


def test_warm_up_and_flat_curves():
    warm = WarmupCosine(warmup=0.5, end=0.0)
    assert [warm.factor(p, 2) for p in (0.0, 0.5, 1.0, 1.5, 2.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    flat = FlatCosine(flat=0.5, end=0.2)
    assert [flat.factor(p, 2) for p in (0.0, 0.9, 1.5, 2.0)] == pytest.approx([1, 1, 0.6, 0.2])
    assert Constant().factor(3.3, 4) == 1.0


def test_one_epoch_cosine_anneals_within_the_epoch():
    curve = Cycles()
    assert [curve.factor(p, 1) for p in (0, 1 / 3, 2 / 3)] == pytest.approx([1, 0.75, 0.25])
    assert curve.factor(0.999, 1) == pytest.approx((1 + math.cos(0.999 * math.pi)) / 2)


@pytest.mark.parametrize("options", [{"count": 0}, {"length": 0}, {"mult": 0}])
def test_cycles_refuse_nothing(options):
    with pytest.raises(UserError, match="1 or more"):
        Cycles(**options)


def test_one_cycle_refuses_a_share_outside_0_to_1():
    with pytest.raises(UserError, match=r"pct_start must lie between 0 and 1, not 1\.5"):
        OneCycle(pct_start=1.5)
