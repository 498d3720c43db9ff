"""Progress for people: a bar in a terminal, a line an epoch anywhere else."""

import logging
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar
from rich.console import Console

from polytag.schedule.recipe import Recipe

log = logging.getLogger(__name__)


class PhaseProgressBar(RichProgressBar):
    """Lightning's Rich bar with the phase in front, and without the version number, which says nothing here."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def _get_train_description(self, current_epoch: int) -> str:
        """Return what stands before the bar; Lightning has no public way to change it."""
        phase = self.recipe.phase_at(current_epoch)
        return f"epoch {current_epoch + 1}/{self.recipe.epochs} · {phase.image_size} px, {phase.trained}"

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return what stands behind the bar."""
        metrics = dict(super().get_metrics(trainer, pl_module))
        metrics.pop("v_num", None)
        return metrics


class EpochLines(Checkpoint):
    """One line an epoch: phase, losses, the monitored metric, images a second.

    The base class is Lightning's mark for callbacks to call after the module has logged its own epoch metrics.
    """

    def __init__(self, recipe: Recipe, metric: str) -> None:
        self.recipe, self.metric = recipe, metric
        self._start, self._seconds, self._images = 0.0, 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, perhaps in the middle of an epoch."""
        self._start, self._images = time.perf_counter(), 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self._start, self._images = time.perf_counter(), 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images; after the last batch stop the clock."""
        self._images += len(batch.targets) * trainer.world_size
        if batch_idx + 1 == trainer.num_training_batches:
            self._seconds = time.perf_counter() - self._start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line."""
        if not trainer.is_global_zero:
            return
        epoch, scores = trainer.current_epoch, trainer.callback_metrics
        phase = self.recipe.phase_at(epoch)
        shown = [
            f"{name} {float(scores[name]):.4f}"
            for name in dict.fromkeys(("train/loss", "val/loss", self.metric))
            if name in scores
        ]
        log.info(
            f"epoch {epoch + 1}/{self.recipe.epochs} · {phase.image_size} px, {phase.trained} · {' · '.join(shown)} · "
            f"{self._images / max(self._seconds, 1e-9):.0f} images/s"
        )


def progress(recipe: Recipe, metric: str) -> pl.Callback:
    """Return the bar where the output is a terminal, else the lines."""
    return PhaseProgressBar(recipe) if Console().is_terminal else EpochLines(recipe, metric)
