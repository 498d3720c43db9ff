"""Rates and momentum that arrive in the optimizer, batch by batch."""

from types import SimpleNamespace

import pytest
import torch

from polytag.schedule.curves import Constant, OneCycle
from polytag.schedule.group_lr import GroupLR, set_momentum
from polytag.schedule.recipe import Phase, Recipe

ONE_CYCLE = OneCycle(pct_start=0.5, div=10, final_div=100, cycle_momentum=(0.95, 0.85))
RECIPE = Recipe(
    (
        Phase(64, 2, 0.1, ONE_CYCLE, ("early", "late"), (4, 2, 1)),
        Phase(64, 1, 0.2, Constant(), (), (4, 2, 1)),
    )
)


def parameter_groups():
    """Return a group with weight decay and one without of each layer group, as the network has them."""
    return [
        {"params": [torch.nn.Parameter(torch.ones(2))], "name": name, **options}
        for name in ("early", "late", "head")
        for options in ({}, {"weight_decay": 0.0})
    ]


def at_batch(optimizer, epoch, batch, batches=4, accumulate=1, recipe=RECIPE):
    """Let the callback set the values of one batch; return each layer group's rate."""
    trainer = SimpleNamespace(
        current_epoch=epoch, num_training_batches=batches, accumulate_grad_batches=accumulate, optimizers=[optimizer]
    )
    GroupLR(recipe).on_train_batch_start(trainer, None, None, batch)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates[::2] == rates[1::2]  # with and without weight decay alike
    return rates[::2]


def momenta(optimizer):
    """Return the momentum, or beta1, of each group."""
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in optimizer.param_groups]


def test_rates_move_with_each_batch():
    optimizer = torch.optim.SGD(parameter_groups(), lr=0.0)
    assert at_batch(optimizer, 0, 0) == pytest.approx([0, 0, 0.01])
    assert at_batch(optimizer, 0, 2) == pytest.approx([0, 0, 0.055])  # half way up: (0.01 + 0.1) / 2
    assert at_batch(optimizer, 1, 0) == pytest.approx([0, 0, 0.1])
    assert at_batch(optimizer, 1, 2) == pytest.approx([0, 0, 0.0505])  # half way down: (0.1 + 0.001) / 2
    assert at_batch(optimizer, 2, 0) == pytest.approx([0.05, 0.1, 0.2])


def test_rates_wait_for_the_optimizers_step():
    optimizer = torch.optim.SGD(parameter_groups(), lr=0.0)
    rates = [at_batch(optimizer, 0, batch, batches=4, accumulate=2)[2] for batch in range(4)]
    assert rates == pytest.approx([0.01, 0.01, 0.055, 0.055])


@pytest.mark.parametrize(
    ("optimizer_class", "options"),
    [
        (torch.optim.SGD, {"momentum": 0.7}),
        (torch.optim.AdamW, {"betas": [0.7, 0.99]}),  # a list, as YAML has it
        (torch.optim.Adam, {"betas": (0.7, 0.99)}),
        (torch.optim.RMSprop, {"momentum": 0.7}),
    ],
)
def test_momentum_moves_and_comes_back_to_the_optimizers_own(optimizer_class, options):
    optimizer = optimizer_class(parameter_groups(), lr=0.1, **options)
    for epoch, batch, momentum in [(0, 0, 0.95), (0, 2, 0.90), (1, 0, 0.85), (1, 2, 0.90), (2, 0, 0.7)]:
        at_batch(optimizer, epoch, batch)
        assert momenta(optimizer) == pytest.approx([momentum] * 6)
        assert all(group["betas"][1] == 0.99 for group in optimizer.param_groups if "betas" in group)


def test_momentum_comes_back_after_a_restart_in_the_next_phase():
    first = torch.optim.SGD(parameter_groups(), lr=0.1, momentum=0.7)
    at_batch(first, 1, 0)
    second = torch.optim.SGD(parameter_groups(), lr=0.1, momentum=0.7)
    second.load_state_dict(first.state_dict())
    assert momenta(second) == pytest.approx([0.85] * 6)
    at_batch(second, 2, 0)
    assert momenta(second) == [0.7] * 6


def test_who_wants_no_momentum_gets_none():
    plain, adam = torch.optim.SGD(parameter_groups()), torch.optim.AdamW(parameter_groups(), betas=(0.0, 0.99))
    at_batch(plain, 0, 0)
    at_batch(adam, 0, 0)
    assert momenta(plain) == [0] * 6
    assert momenta(adam) == [0.0] * 6


def test_an_optimizer_without_momentum_is_left_alone():
    optimizer = torch.optim.Adagrad(parameter_groups())
    set_momentum(optimizer, 0.9)
    assert "momentum" not in optimizer.param_groups[0]


def test_the_optimizer_forgets_at_the_start_of_a_phase_only():
    optimizer = torch.optim.SGD(parameter_groups(), lr=0.1, momentum=0.9)
    for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
        parameter.grad = torch.ones(2)
    optimizer.step()
    for epoch, batch in [(0, 1), (1, 0), (1, 3), (2, 1)]:
        at_batch(optimizer, epoch, batch)
        assert len(optimizer.state) == 6
    at_batch(optimizer, 2, 0)
    assert len(optimizer.state) == 0


def test_a_step_uses_the_rates_and_the_momentum():
    optimizer = torch.optim.SGD(parameter_groups(), lr=0.0, momentum=0.7)
    values = [group["params"][0] for group in optimizer.param_groups]
    for value in values:
        value.grad = torch.ones(2)
    at_batch(optimizer, 1, 0)  # rate 0.1 of the head, momentum 0.85
    optimizer.step()
    at_batch(optimizer, 1, 0)
    optimizer.step()
    # The head moved by 0.1 and by 0.1 * (1 + 0.85); the frozen groups not at all.
    assert [round(value[0].item(), 6) for value in values] == [1, 1, 1, 1, 0.715, 0.715]
