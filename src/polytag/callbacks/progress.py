"""Progress for people: a table that grows and a bar in a terminal, a line an epoch anywhere else."""

import logging
import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from polytag.schedule.recipe import Recipe
from polytag.tracking.console import console, duration

log = logging.getLogger(__name__)

WINDOW = 30  # batches that the current pace is taken from


class Clock:
    """The pace of an epoch, or of what is left of one that goes on.

    Attributes:
        is_whole: Whether it has run since the epoch began.
    """

    def __init__(self, is_whole: bool = False) -> None:
        self.is_whole = is_whole
        self.images = 0
        self._start = time.perf_counter()
        self._batches = deque([self._start], maxlen=WINDOW)

    def count(self, images: int) -> None:
        """Note the end of a batch."""
        self.images += images
        self._batches.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._start

    @property
    def training_seconds(self) -> float:
        """From the start to the end of the last batch."""
        return self._batches[-1] - self._start

    @property
    def images_per_second(self) -> float:
        """Of all batches so far."""
        return self.images / max(self.training_seconds, 1e-9)

    @property
    def batch_seconds(self) -> float:
        """Of the last batches; the first of an epoch, which is slow, counts only as long as there is no other."""
        ends = list(self._batches)
        if ends[0] == self._start and len(ends) > 2:
            ends = ends[1:]
        return (ends[-1] - ends[0]) / max(1, len(ends) - 1)


class EpochLines(Checkpoint):
    """One line an epoch: phase, losses, the monitored metric, images a second, time.

    The base class is Lightning's mark for callbacks to call after the module has logged its own epoch metrics.
    """

    def __init__(self, recipe: Recipe, metric: str) -> None:
        self.recipe, self.metric = recipe, metric
        self.names = tuple(dict.fromkeys(("train/loss", "val/loss", metric)))
        self.clock = Clock()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, perhaps in the middle of an epoch."""
        self.clock = Clock()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self.clock = Clock(is_whole=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images."""
        self.clock.count(len(batch.targets) * trainer.world_size)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line."""
        if trainer.is_global_zero:
            scores = trainer.callback_metrics
            self.show(trainer.current_epoch, {name: float(scores[name]) for name in self.names if name in scores})

    def show(self, epoch: int, scores: dict[str, float]) -> None:
        """Show the numbers of an epoch."""
        phase = self.recipe.phase_at(epoch)
        shown = [f"{name} {score:.4f}" for name, score in scores.items()]
        log.info(
            f"epoch {epoch + 1}/{self.recipe.epochs} · phase {self.recipe.index_at(epoch)} · {phase.image_size} px, "
            f"{phase.trained} · {' · '.join(shown)} · {self.clock.images_per_second:,.0f} images/s · "
            f"{duration(self.clock.seconds)}{' since it went on' * (not self.clock.is_whole)}"
        )


def progress(recipe: Recipe, metric: str) -> pl.Callback:
    """Return the bar where the output is a terminal that can show one, else the lines."""
    from polytag.callbacks.live_progress import LiveProgress

    # FORCE_COLOR makes Rich take a file for a terminal, too.
    return (LiveProgress if console.is_interactive and console.file.isatty() else EpochLines)(recipe, metric)
