"""Curves against torch's schedulers and against numbers written out."""

import math

import pytest
import torch

from polytag.errors import UserError
from polytag.schedule.curves import Constant, Cycles, FlatCosine, OneCycle, WarmupCosine


def torch_values(scheduler_class, steps, **options):
    """Return the rates and momenta that a scheduler of torch sets."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = scheduler_class(optimizer, **options)
    group, rates, momenta = optimizer.param_groups[0], [], []
    for _ in range(steps):
        rates.append(group["lr"])
        momenta.append(group["momentum"])
        optimizer.step()
        scheduler.step()
    return rates, momenta


@pytest.mark.parametrize(("count", "length", "mult"), [(1, 3, 1), (3, 1, 2), (2, 2, 3)])
def test_cycles_equal_torch_warm_restarts(count, length, mult):
    curve = Cycles(count, length, mult)
    batches = 7
    steps = curve.epochs * batches
    expected, _ = torch_values(
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


def test_one_cycle_and_its_momentum_equal_torch():
    steps = 40
    # torch counts the steps from 0 to total - 1; one step more makes both shares the same.
    rates, momenta = torch_values(
        torch.optim.lr_scheduler.OneCycleLR,
        steps,
        max_lr=1.0,
        total_steps=steps + 1,
        pct_start=(0.25 * steps + 1) / (steps + 1),
        div_factor=25.0,
        final_div_factor=1e5 / 25,
        max_momentum=0.95,
        base_momentum=0.85,
    )
    curve = OneCycle(pct_start=0.25, div=25.0, final_div=1e5, cycle_momentum=(0.95, 0.85))
    assert [curve.factor(4 * i / steps, 4) for i in range(steps)] == pytest.approx(rates, abs=1e-9)
    assert [curve.momentum(4 * i / steps, 4) for i in range(steps)] == pytest.approx(momenta, abs=1e-9)


def test_one_cycle_at_written_out_points():
    curve = OneCycle(pct_start=0.25, div=25.0, final_div=1e5)
    assert curve.factor(0.0, 4) == pytest.approx(0.04)
    assert curve.factor(0.5, 4) == pytest.approx(0.52)  # half way up: (0.04 + 1) / 2
    assert curve.factor(1.0, 4) == pytest.approx(1.0)
    assert curve.factor(2.5, 4) == pytest.approx(0.500005)  # half way down: (1 + 0.00001) / 2
    assert curve.factor(4.0, 4) == pytest.approx(1e-5)
    assert [curve.momentum(p, 4) for p in (0, 0.5, 1, 2.5, 4)] == pytest.approx([0.95, 0.90, 0.85, 0.90, 0.95])
    # A quarter of the way up, where the cosine is the square root of one half: 1 - 0.48 * 1.70710678.
    assert curve.factor(0.25, 4) == pytest.approx(0.18058874)
    assert curve.momentum(0.25, 4) == pytest.approx(0.93535534)  # 0.85 + 0.05 * 1.70710678


def test_fastais_first_stage_rises_almost_to_its_end():
    curve = OneCycle(pct_start=0.99)
    assert [curve.factor(p, 100) for p in (0, 49.5, 99, 99.5, 100)] == pytest.approx([0.04, 0.52, 1, 0.500005, 1e-5])


def test_only_one_cycle_moves_the_momentum():
    assert OneCycle(cycle_momentum=None).momentum(0.5, 1) is None
    for curve in (Constant(), Cycles(), WarmupCosine(), FlatCosine()):
        assert curve.momentum(0.5, 1) is None


def test_curves_of_a_config_can_be_compared_and_hashed():
    assert OneCycle(cycle_momentum=[0.95, 0.85]) == OneCycle()
    assert len({OneCycle(cycle_momentum=[0.95, 0.85]), OneCycle()}) == 1


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


def test_only_cycles_fix_the_length_of_a_phase():
    for curve in (Constant(), OneCycle(), WarmupCosine(), FlatCosine()):
        assert curve.epochs is None


@pytest.mark.parametrize(
    ("curve", "options", "message"),
    [
        (OneCycle, {"pct_start": 1.5}, r"pct_start must lie between 0 and 1, not 1\.5"),
        (OneCycle, {"pct_start": 0.0}, r"pct_start must lie between 0 and 1, not 0\.0"),
        (OneCycle, {"div": 0}, "div and final_div must be above 0, not 0"),
        (OneCycle, {"final_div": -1}, r"must be above 0, not 25\.0 and -1"),
        (OneCycle, {"cycle_momentum": [0.95]}, r"must be two numbers from 0 to below 1, not \[0\.95\]"),
        (OneCycle, {"cycle_momentum": [1.0, 0.9]}, "must be two numbers from 0 to below 1"),
        (WarmupCosine, {"warmup": 1.0}, r"warmup must be 0 or more and below 1, not 1\.0"),
        (FlatCosine, {"flat": -0.1}, r"flat must be 0 or more and below 1, not -0\.1"),
    ],
)
def test_impossible_curves_are_refused(curve, options, message):
    with pytest.raises(UserError, match=message):
        curve(**options)
