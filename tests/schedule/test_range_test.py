"""The range test: what it leaves alone, and that its steps are those of a plain training loop."""

import copy
import itertools
import random
from functools import partial

import numpy as np
import pytest
import torch
from conftest import TINY
from hydra import compose, initialize_config_dir
from torch import nn

from polytag import build
from polytag.commands import conf_dir
from polytag.data.label_table import TRAIN
from polytag.data.loaders import train_loader
from polytag.errors import UserError
from polytag.schedule.curves import OneCycle
from polytag.schedule.range_test import Compute, endless, group_rates, random_state_kept, range_test
from polytag.schedule.recipe import Phase

CPU = Compute(torch.device("cpu"))
UNFROZEN = Phase(32, 1, 0.01, OneCycle(), group_lr_div=(9, 3, 1))
FROZEN = Phase(32, 1, 0.01, OneCycle(), frozen=("early", "late"), group_lr_div=(9, 3, 1))


@pytest.fixture
def config(csv_data):
    overrides = [*TINY, "data=csv", f"data.root={csv_data}", "optimizer=sgd", "recipe.image_sizes=[32]"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", [*overrides, "paths.output=x"])


@pytest.fixture
def table(config):
    return build.build_table(config.data)


@pytest.fixture
def classifier(config, table):
    torch.manual_seed(3)
    return build.build_classifier(config, table, build.build_recipe(config))


@pytest.fixture
def loader(config, table):
    return train_loader(table.part(TRAIN), build.build(config.transforms), UNFROZEN, 4, 0, seed=0)


def facts_of(classifier):
    return (
        {name: tensor.clone() for name, tensor in classifier.state_dict().items()},
        [parameter.requires_grad for parameter in classifier.parameters()],
        [parameter.grad for parameter in classifier.parameters()],
        [module.training for module in classifier.modules()],
    )


def draws():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)]


def test_the_classifier_and_every_generator_are_as_before(classifier, loader):
    classifier.network.head.eval()
    next(classifier.network.backbone.parameters()).requires_grad_(False)
    optimizer = classifier.configure_optimizers()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(11)
    expected_draws = draws()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(11)
    weights, *others = facts_of(classifier)
    sweep = range_test(classifier, UNFROZEN, endless(loader, 0), [1e-3, 1e-2, 1e-1], CPU)
    assert len(sweep.rates) == 3
    weights_after, *others_after = facts_of(classifier)
    assert others_after == others
    assert weights.keys() == weights_after.keys()
    assert all(torch.equal(weights[name], weights_after[name]) for name in weights)
    assert not optimizer.state
    assert draws() == expected_draws


def test_generators_are_put_back_after_an_error_too():
    torch.manual_seed(1)
    expected = draws()[0]
    torch.manual_seed(1)
    with pytest.raises(UserError, match="nothing"), random_state_kept(torch.device("cpu")):
        fail_after_a_draw()
    assert draws()[0] == expected


def fail_after_a_draw():
    torch.rand(7)
    raise UserError("nothing")


def test_all_groups_scale_together_and_frozen_ones_stand_still():
    assert group_rates(UNFROZEN, 0.9) == pytest.approx({"early": 0.1, "late": 0.3, "head": 0.9})
    assert group_rates(FROZEN, 0.9) == {"early": 0.0, "late": 0.0, "head": 0.9}


class Recorder(torch.optim.SGD):
    """Remembers the rates of each step, and the first weight of each group after it."""

    seen: list

    def step(self, closure=None):
        super().step(closure)
        groups = self.param_groups
        rates = {group["name"]: group["lr"] for group in groups}
        weights = {group["name"]: group["params"][0].detach().clone() for group in groups}
        self.seen.append((rates, weights))


def recording(classifier):
    seen = []
    classifier._optimizer = partial(type("Recording", (Recorder,), {"seen": seen}), lr=0.0)
    return seen


@pytest.mark.parametrize(("phase", "moving"), [(UNFROZEN, {"early", "late", "head"}), (FROZEN, {"head"})])
def test_the_optimizer_gets_the_rates_of_each_step(classifier, loader, phase, moving):
    seen = recording(classifier)
    range_test(classifier, phase, endless(loader, 0), [0.009, 0.09], CPU)
    rates = {"early": [0.001, 0.01], "late": [0.003, 0.03], "head": [0.009, 0.09]}
    for group, expected in rates.items():
        assert [step[0][group] for step in seen] == pytest.approx(expected if group in moving else [0, 0])
        assert torch.equal(seen[0][1][group], seen[1][1][group]) is (group not in moving)


def plain_losses(classifier, batches, rates, modules_in_eval=()):
    """Train the network by a loop of its own: SGD with momentum 0.9 on everything that is not in eval mode."""
    network = copy.deepcopy(classifier.network).train()
    for name in modules_in_eval:
        network.get_submodule(name).eval().requires_grad_(False)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.SGD(trained, lr=0.0, momentum=0.9), []
    torch.manual_seed(5)
    for rate, batch in zip(rates, batches, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        loss = nn.functional.binary_cross_entropy_with_logits(network(batch.images), batch.targets.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_losses_are_those_of_a_plain_training_loop(classifier, loader):
    rates = [1e-4, 1e-3, 1e-2, 3e-2, 1e-1]
    equal = Phase(32, 1, 1.0, OneCycle())
    sweep = range_test(classifier, equal, endless(loader, 0), rates, CPU, seed=5)
    expected = plain_losses(classifier, endless(loader, 0), rates)
    assert sweep.losses == pytest.approx(expected, rel=1e-5)
    assert sweep.rates.tolist() == rates


def test_a_frozen_phase_is_that_of_a_frozen_training_loop(classifier, loader):
    rates = [1e-3, 1e-2, 1e-1]
    sweep = range_test(classifier, FROZEN, endless(loader, 0), rates, CPU, seed=5)
    expected = plain_losses(classifier, endless(loader, 0), rates, modules_in_eval=["backbone"])
    assert sweep.losses == pytest.approx(expected, rel=1e-5)


def test_accumulation_takes_several_batches_a_step(classifier, loader):
    taken = []
    batches = (taken.append(len(batch.images)) or batch for batch in endless(loader, 0))
    single = range_test(classifier, UNFROZEN, endless(loader, 0), [1e-30] * 4, CPU).losses
    double = range_test(classifier, UNFROZEN, batches, [1e-30] * 2, Compute(CPU.device, accumulate=2)).losses
    assert double == pytest.approx([single[:2].mean(), single[2:].mean()], rel=1e-4)
    assert len(taken) == 4


def test_gradients_are_clipped(classifier, loader):
    seen = recording(classifier)
    clip = partial(nn.utils.clip_grad_norm_, max_norm=1e-9)
    range_test(classifier, UNFROZEN, endless(loader, 0), [0.1, 0.1], Compute(CPU.device, clip=clip))
    assert torch.allclose(seen[0][1]["head"], seen[1][1]["head"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("32", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("bf16-true", torch.bfloat16),
        ("16-mixed", torch.float16),
        ("64-true", torch.float64),
    ],
)
def test_other_precisions(classifier, loader, precision, dtype):
    seen = []
    classifier.criterion.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    rates = [1e-4, 1e-3, 1e-2]
    single = range_test(classifier, UNFROZEN, endless(loader, 0), rates, CPU)
    other = range_test(classifier, UNFROZEN, endless(loader, 0), rates, Compute(CPU.device, precision))
    assert seen == [torch.float32] * 3 + [dtype] * 3
    assert other.losses == pytest.approx(single.losses, rel=0.02)
    assert next(classifier.network.parameters()).dtype == torch.float32


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match=r"trainer\.precision=transformer-engine: try bf16-mixed"):
        Compute(CPU.device, "transformer-engine")


class Losses(nn.Module):
    """Gives out losses that were fixed beforehand."""

    def __init__(self, *values):
        super().__init__()
        self.values = iter(values)

    def forward(self, logits, targets):
        return logits.sum() * 0 + next(self.values)


def test_the_test_ends_where_the_smoothed_loss_explodes(classifier, loader):
    classifier.criterion = Losses(1.0, 1.0, 1.0, 12.0, 12.0, 1.0)
    sweep = range_test(classifier, FROZEN, endless(loader, 0), [1, 2, 3, 4, 5, 6], CPU)
    # Smoothed: 1 1 1, then (2.9 + 12) / 3.9 = 3.8, then 5.6, which is more than 4.
    assert sweep.losses.tolist() == [1, 1, 1, 12, 12]
    assert sweep.smoothed == pytest.approx([1, 1, 1, 3.83, 5.54], abs=0.01)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_test_ends_where_the_loss_is_not_finite(classifier, loader, bad):
    classifier.criterion = Losses(1.0, 0.9, bad, 1.0)
    sweep = range_test(classifier, FROZEN, endless(loader, 0), [1, 2, 3, 4], CPU)
    assert sweep.losses == pytest.approx([1.0, 0.9])
    assert sweep.rates.tolist() == [1, 2]


def test_a_loss_that_is_never_finite_is_an_error(classifier, loader):
    classifier.criterion = Losses(float("nan"))
    with pytest.raises(UserError, match=r"first batch is nan, before any step: .* trainer\.precision than 32-true"):
        range_test(classifier, FROZEN, endless(loader, 0), [1, 2], CPU)


def test_the_loader_goes_on_into_the_next_epoch(loader, table):
    rows = len(table.part(TRAIN))
    batches = list(itertools.islice(endless(loader, 2), 2 * len(loader)))
    seen = torch.cat([batch.rows for batch in batches]).tolist()
    for part, epoch in ((seen[: len(seen) // 2], 2), (seen[len(seen) // 2 :], 3)):
        loader.sampler.set_epoch(epoch)
        assert part == [key.row for key in loader.sampler]
        assert sorted(part) == list(range(rows))
