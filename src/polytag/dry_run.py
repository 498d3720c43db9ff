"""`train dry_run=true`: what a recipe will take, from a few real steps of each of its phases."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.progress import track

from polytag.callbacks.ema import EMA
from polytag.data.datamodule import DataModule
from polytag.data.dataset import Batch, EvaluationSampler, TrainSampler
from polytag.data.loaders import Loader, default_workers, evaluation_loader, train_loader
from polytag.errors import UserError
from polytag.models.classifier import Classifier
from polytag.models.layer_groups import layer_groups
from polytag.schedule.freeze import freeze
from polytag.schedule.range_test import Compute
from polytag.schedule.recipe import Phase, Recipe
from polytag.tracking.console import console, print_recipe
from polytag.tracking.recipe_plot import plot_recipe

log = logging.getLogger(__name__)

WARM_UP, MEASURED = 1, 2  # batches; the first is slow: memory is reserved and kernels are chosen


@dataclass(frozen=True)
class Cost:
    """What a phase takes.

    Attributes:
        images: Training images seen, over all epochs and ranks.
        seconds: Estimated time, with validation.
    """

    images: int
    seconds: float


def dry_run(recipe: Recipe, classifier: Classifier, data: DataModule, trainer: pl.Trainer, path: Path) -> None:
    """Print the recipe with its costs and draw it. The classifier is spoilt afterwards.

    Args:
        recipe: The phases.
        classifier: As the training would start with it.
        data: Gives the rows and how they are loaded.
        trainer: Gives device, precision, ranks and limits; it is not started.
        path: Where the picture goes.
    """
    if not trainer.is_global_zero:
        return
    costs = estimate(recipe, classifier, data, trainer)
    print_recipe(recipe, classifier.network, data.batch_size, costs)
    plot_recipe(recipe, path)
    log.info(
        f"Dry run: nothing is trained. The time is an estimate for {trainer.strategy.root_device}, with validation and "
        f"without the scores at the end, from {MEASURED} batches of each phase. Picture: {path}"
    )


def estimate(recipe: Recipe, classifier: Classifier, data: DataModule, trainer: pl.Trainer) -> list[Cost]:
    """Return the cost of each phase, from a few steps of the classifier in it.

    Raises:
        UserError: A batch does not fit into the memory of the device.
    """
    compute = Compute(trainer.strategy.root_device, str(trainer.precision))
    classifier.to(compute.device, torch.float32 if compute.is_mixed else compute.dtype)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside of its class
    networks = 1 + any(isinstance(callback, EMA) for callback in callbacks)  # an average is validated too
    phases = track(recipe.phases, "Measuring", console=console, transient=True, disable=not console.is_terminal)
    costs = []
    for phase in phases:
        try:
            training, validation = measure(phase, classifier, data, compute, networks)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"The phase of {phase.describe()} does not fit into the memory of {compute.device} with batches of "
                f"{phase.batch_size or data.batch_size}: lower data.batch_size or recipe.batch_sizes."
            ) from error
        images, val_images = epoch_images(phase, data, trainer)
        seconds = phase.epochs * (images * training + val_images * validation)
        costs.append(Cost(phase.epochs * images * trainer.world_size, seconds))
    return costs


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


def measure(
    phase: Phase, classifier: Classifier, data: DataModule, compute: Compute, networks: int = 1
) -> tuple[float, float]:
    """Return the seconds an image takes in the training of a phase, and in its validation by some networks."""
    batch_size = phase.batch_size or data.batch_size
    workers = default_workers() if data.num_workers is None else data.num_workers
    # Loaded here even if workers will do it: how long they take together follows from how long one takes.
    train = train_loader(data.train_table, data.transforms, phase, batch_size, 0, data.seed, cache=data.cache)
    validation = evaluation_loader(data.val_table, data.transforms, phase.image_size, batch_size, 0, cache=data.cache)
    optimizer, scaler = classifier.configure_optimizers(), compute.scaler()

    def step(batch: Batch) -> None:
        with compute.autocast():
            images, targets = classifier.mixing(batch.images, batch.targets.float())
            loss = classifier.criterion(classifier(images), targets)
        torch.autograd.backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    def validate(batch: Batch) -> None:
        with torch.no_grad(), compute.autocast():
            for _ in range(networks):
                classifier.criterion(classifier(batch.images), batch.targets.float())

    freeze(classifier.network, layer_groups(classifier.network), phase.frozen)
    training = seconds_an_image(train, step, workers, compute.device)
    classifier.network.eval()
    return training, seconds_an_image(validation, validate, workers, compute.device)


def seconds_an_image(loader: Loader, work: Callable[[Batch], None], workers: int, device: torch.device) -> float:
    """Return the seconds that loading an image and working on it take; 0 where there is none.

    Args:
        loader: Loads in this process.
        work: What is done with a batch on the device.
        workers: The loading processes of the real training: they load side by side, and while the device works.
        device: Where the work is done.
    """
    if not len(loader):
        return 0.0
    loading = working = 0.0
    images = 0
    batches = chain.from_iterable(repeat(loader))
    for number in range(WARM_UP + MEASURED):
        start = time.perf_counter()
        batch = Batch(*(tensor.to(device) for tensor in next(batches)))
        loaded = time.perf_counter()
        work(batch)
        torch.get_device_module(device).synchronize()
        if number >= WARM_UP:
            loading += loaded - start
            working += time.perf_counter() - loaded
            images += len(batch.images)
    return (max(loading / workers, working) if workers else loading + working) / images
