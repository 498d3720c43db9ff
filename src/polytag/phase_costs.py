"""What the phases of a recipe take on this machine, from a few real steps of each."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

from polytag.callbacks.ema import EMA
from polytag.data.datamodule import DataModule
from polytag.data.dataset import Batch, EvaluationSampler, FeatureBatch, TrainSampler
from polytag.data.loaders import Loader, default_workers, evaluation_loader, train_loader
from polytag.errors import UserError
from polytag.losses.known import soft_targets
from polytag.models.classifier import Classifier
from polytag.models.layer_groups import layer_groups
from polytag.schedule.freeze import freeze
from polytag.schedule.range_test import Compute
from polytag.schedule.recipe import Phase, Recipe
from polytag.tracking.console import progress_bar

WARM_UP, MEASURED = 1, 2  # batches; the first is slow: memory is reserved, kernels are chosen or compiled


@dataclass(frozen=True)
class Cost:
    """What a phase takes.

    Attributes:
        images: Training images seen, over all epochs and ranks.
        seconds: Estimated time, with validation.
        start: What its first batches take beyond that, in seconds: where the network is compiled, that.
    """

    images: int
    seconds: float
    start: float = 0.0


class Pace(NamedTuple):
    """Seconds that an image takes, and what the first batch took beyond that."""

    seconds: float
    start: float


class Paces(NamedTuple):
    """What a phase's work takes: training, validation by one network, and the head alone on computed features."""

    training: Pace
    validation: Pace
    head: Pace


def estimate(recipe: Recipe, classifier: Classifier, data: DataModule, trainer: pl.Trainer) -> list[Cost]:
    """Return the cost of each phase, from a few steps of the classifier in it; the classifier is spoilt afterwards.

    Args:
        recipe: The phases.
        classifier: As the training would start with it.
        data: Gives the rows and how they are loaded.
        trainer: Gives device, precision, ranks and limits; it is not started.

    Raises:
        UserError: A batch does not fit into the memory of the device.
    """
    compute = Compute(trainer.strategy.root_device, str(trainer.precision))
    classifier.to(compute.device, torch.float32 if compute.is_mixed else compute.dtype)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside of its class
    has_average = any(isinstance(callback, EMA) for callback in callbacks)
    measured: dict[Phase, Paces] = {}
    costs = []
    with progress_bar() as progress:
        for phase in progress.track(recipe.phases, description="Measuring"):
            is_new = phase.work not in measured
            if is_new:
                measured[phase.work] = measure(phase, classifier, data, compute)
            seconds = phase_seconds(phase, measured[phase.work], *epoch_images(phase, data, trainer), has_average)
            start = sum(pace.start for pace in measured[phase.work]) if is_new else 0.0
            images = phase.epochs * epoch_images(phase, data, trainer)[0] * trainer.world_size
            costs.append(Cost(images, seconds, start))
    return costs


def phase_seconds(phase: Phase, paces: Paces, images: int, val_images: int, has_average: bool) -> float:
    """Return the seconds of a phase, with validation.

    Args:
        phase: The phase.
        paces: Seconds an image.
        images: Training images of an epoch and rank.
        val_images: Validation images, likewise.
        has_average: Whether an average of the weights is validated beside the weights; it sees the images always.
    """
    validation = paces.validation.seconds
    if not phase.precompute:
        return phase.epochs * (images * paces.training.seconds + val_images * validation * (1 + has_average))
    once = images * phase.views * validation + phase.epochs * images * paces.head.seconds
    if has_average:
        return once + phase.epochs * val_images * 2 * validation
    return once + val_images * (validation + phase.epochs * paces.head.seconds)


def epoch_images(phase: Phase, data: DataModule, trainer: pl.Trainer) -> tuple[int, int]:
    """Return how many images each rank trains on in an epoch, and validates with."""
    batch_size, ranks = phase.batch_size or data.batch_size, trainer.world_size
    train = TrainSampler(len(data.train_table), batch_size, data.seed, 0, ranks)
    validation = EvaluationSampler(len(data.val_table), 0, ranks)
    return (
        _limited(len(train), batch_size, trainer.limit_train_batches),
        _limited(len(validation), batch_size, trainer.limit_val_batches),
    )


def _limited(images: int, batch_size: int, limit: int | float | None) -> int:
    """Return how many images are left of an epoch whose batches are limited to a number or a share of them."""
    batches = math.ceil(images / batch_size)
    kept = min(batches, limit) if isinstance(limit, int) else int(batches * (1.0 if limit is None else limit))
    return min(images, kept * batch_size)


def measure(phase: Phase, classifier: Classifier, data: DataModule, compute: Compute) -> Paces:
    """Return the seconds that an image takes in a phase.

    Raises:
        UserError: A batch does not fit into the memory of the device.
    """
    batch_size = phase.batch_size or data.batch_size
    workers = default_workers() if data.num_workers is None else data.num_workers
    # Loaded here even if workers will do it: how long they take together follows from how long one takes.
    train = train_loader(
        data.train_table, data.transforms, phase, batch_size, 0, data.seed, cache=data.cache, sampling=data.sampling
    )
    validation = evaluation_loader(data.val_table, data.transforms, phase.image_size, batch_size, 0, cache=data.cache)
    step = _training_step(classifier, compute)

    def validate(batch: Batch) -> None:
        with torch.no_grad(), compute.autocast():
            classifier.criterion(classifier(batch.images), soft_targets(batch.targets))

    try:
        freeze(classifier.network, layer_groups(classifier.network), phase.frozen)
        training = pace(train, step, workers, compute.device)
        features = [features_of(next(iter(train)), classifier, compute)] if phase.precompute else []
        head = pace(features, step, 0, compute.device)
        classifier.network.eval()
        return Paces(training, pace(validation, validate, workers, compute.device), head)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The phase of {phase.describe()} does not fit into the memory of {compute.device} with batches of "
            f"{batch_size}: lower data.batch_size or recipe.batch_sizes."
        ) from error


def _training_step(classifier: Classifier, compute: Compute) -> Callable[[Batch | FeatureBatch], None]:
    """Return a function that trains on a batch on the device."""
    optimizer, scaler = classifier.configure_optimizers(), compute.scaler()

    def step(batch: Batch | FeatureBatch) -> None:
        targets = soft_targets(batch.targets)
        with compute.autocast():
            if isinstance(batch, FeatureBatch):
                logits = classifier.network.classify(batch.features)
            else:
                images, targets = classifier.mixing(batch.images, targets)
                logits = classifier(images)
            loss = classifier.criterion(logits, targets)
        torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return step


def features_of(batch: Batch, classifier: Classifier, compute: Compute) -> FeatureBatch:
    """Return what the head would be given instead of a batch of images."""
    network = classifier.network
    with torch.no_grad(), compute.autocast():
        features = network.head_inputs(network.features(batch.images.to(compute.device)))
    return FeatureBatch(features.float(), batch.targets, batch.rows)


def pace(loader: Loader | Sequence[Any], work: Callable[[Any], None], workers: int, device: torch.device) -> Pace:
    """Return what loading an image and working on it take; 0 where there is none.

    Args:
        loader: Loads batches in this process.
        work: What is done with a batch on the device.
        workers: The loading processes of the real training: they load side by side, and while the device works.
        device: Where the work is done.
    """
    if not len(loader):
        return Pace(0.0, 0.0)
    batches = chain.from_iterable(repeat(loader))
    loading, working, images = [], [], []
    for _ in range(WARM_UP + MEASURED):
        start = time.perf_counter()
        loaded_batch = next(batches)
        batch = type(loaded_batch)(*(tensor.to(device) for tensor in loaded_batch))
        loaded = time.perf_counter()
        work(batch)
        torch.get_device_module(device).synchronize()
        loading.append(loaded - start)
        working.append(time.perf_counter() - loaded)
        images.append(len(batch.rows))
    load, do = (sum(part[WARM_UP:]) / sum(images[WARM_UP:]) for part in (loading, working))
    first = sum(working[:WARM_UP]) - do * sum(images[:WARM_UP])
    return Pace(max(load / workers, do) if workers else load + do, max(0.0, first))
