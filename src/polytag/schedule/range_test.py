"""The learning-rate range test: train a copy of the classifier, each step at a higher rate than the one before.

Leslie Smith, Cyclical Learning Rates for Training Neural Networks, 2017: https://arxiv.org/abs/1506.01186. Lightning's
own `lr_find` gives every parameter group the same rate; here all groups move together and keep the phase's ratios.
"""

import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from polytag.data.dataset import AnnouncingSampler, Batch, TrainSampler
from polytag.data.loaders import Loader
from polytag.errors import UserError
from polytag.losses.known import soft_targets
from polytag.models.classifier import Classifier
from polytag.models.layer_groups import layer_groups
from polytag.schedule.curves import Constant
from polytag.schedule.freeze import freeze
from polytag.schedule.lr_suggestions import Numbers, has_exploded, smooth
from polytag.schedule.recipe import Phase

DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16, "64": torch.float64}


@dataclass(frozen=True)
class Compute:
    """How the training takes its steps, as far as the right learning rate depends on it.

    Attributes:
        device: Where to compute.
        precision: Lightning's name of it.
        accumulate: Batches an optimizer step.
        clip: Clips the gradients of the parameters that it is given.
    """

    device: torch.device
    precision: str = "32-true"
    accumulate: int = 1
    clip: Callable[[Iterable[nn.Parameter]], object] | None = None

    def __post_init__(self) -> None:
        if self.precision.split("-")[0] not in DTYPES:
            raise UserError(f"The range test does not know trainer.precision={self.precision}: try bf16-mixed.")

    @property
    def dtype(self) -> torch.dtype:
        """The kind of number that the precision is named after."""
        return DTYPES[self.precision.split("-")[0]]

    @property
    def is_mixed(self) -> bool:
        """Whether the weights stay in 32 bits and only the operations use fewer."""
        return self.dtype in (torch.bfloat16, torch.float16) and not self.precision.endswith("-true")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        return torch.autocast(self.device.type, dtype=self.dtype) if self.is_mixed else nullcontext()

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients from vanishing in 16-bit floats; it does nothing in other precisions."""
        return torch.amp.GradScaler(self.device.type, enabled=self.is_mixed and self.dtype == torch.float16)


@dataclass(frozen=True)
class Sweep:
    """What a range test saw: one point an optimizer step, up to where the loss explodes.

    Attributes:
        rates: The phase's learning rate at each step, ascending.
        losses: The mean loss of each step's images, before the step.
        smoothed: The same, averaged over the steps so far with exponentially falling weights.
    """

    rates: Numbers
    losses: Numbers
    smoothed: Numbers


def range_test(
    classifier: Classifier,
    phase: Phase,
    batches: Iterator[Batch],
    rates: Iterable[float],
    compute: Compute,
    seed: int = 0,
) -> Sweep:
    """Train a copy of the classifier at rising rates, with a fresh optimizer, and return the losses.

    The classifier itself is not touched, and the random generators of Python, numpy and torch are put back.

    Args:
        classifier: Network, criterion and optimizer; the weights that the test starts from.
        phase: Gives the frozen groups and the ratios of the groups' rates.
        batches: `compute.accumulate` of them a rate are taken; see `endless`.
        rates: What takes the place of the phase's rate, step by step.
        compute: Device, precision and so on.
        seed: Of dropout and drop-path.

    Raises:
        UserError: The very first loss is not finite.
    """
    taken: list[float] = []
    losses: list[float] = []
    with random_state_kept(compute.device):
        (torch.default_generator.manual_seed if compute.device.type == "cpu" else torch.manual_seed)(seed)
        take_step = _start_trial(classifier, phase, compute)
        for rate in rates:
            loss = take_step([next(batches) for _ in range(compute.accumulate)], group_rates(phase, rate))
            if not math.isfinite(loss):
                break
            taken.append(rate)
            losses.append(loss)
            if has_exploded(smooth(losses)):
                break
    if not losses:
        raise UserError(
            f"The loss of the first batch is {loss}, before any step: look at the data and the criterion, or try "
            f"another trainer.precision than {compute.precision}."
        )
    return Sweep(np.array(taken), np.array(losses), smooth(losses))


def _start_trial(
    classifier: Classifier, phase: Phase, compute: Compute
) -> Callable[[Sequence[Batch], dict[str, float]], float]:
    """Return a function that takes a step of a copy, with the groups' rates, and returns the loss before the step."""
    trial = copy.deepcopy(classifier).to(compute.device, torch.float32 if compute.is_mixed else compute.dtype)
    freeze(trial.network, layer_groups(trial.network), phase.frozen)
    optimizer, scaler = trial.configure_optimizers(), compute.scaler()

    def backward(batch: Batch, parts: int) -> Tensor:
        with compute.autocast():
            logits = trial.network(batch.images.to(compute.device, non_blocking=True))
            loss: Tensor = trial.criterion(logits, soft_targets(batch.targets.to(compute.device)))
        torch.autograd.backward(scaler.scale(loss / parts))
        return loss.detach().float()

    def take_step(batches: Sequence[Batch], rates: dict[str, float]) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        optimizer.zero_grad()
        losses = [backward(batch, len(batches)) for batch in batches]
        if compute.clip is not None:
            scaler.unscale_(optimizer)
            compute.clip(trial.network.parameters())
        scaler.step(optimizer)
        scaler.update()
        return float(torch.stack(losses).mean())

    return take_step


def group_rates(phase: Phase, rate: float) -> dict[str, float]:
    """Return the rate of each layer group where the phase's is `rate`: scaled together, 0 for frozen groups."""
    return replace(phase, lr=float(rate), curve=Constant()).group_lrs(0.0)


def endless(loader: Loader, epoch: int) -> Iterator[Batch]:
    """Yield the batches of a training loader from the start of an epoch, and on into the epochs after it."""
    assert isinstance(loader.sampler, TrainSampler | AnnouncingSampler) and len(loader), loader.sampler
    while True:
        loader.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Put the random generators of Python, numpy and torch back in the end, those of the device included."""
    python, legacy_numpy = random.getstate(), np.random.get_state()
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count()) if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy_numpy)
        if mps is not None:
            torch.mps.set_rng_state(mps)
