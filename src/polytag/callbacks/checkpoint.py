"""Checkpoints of a run: the best by the monitored metric, the last, one a phase."""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint

from polytag.run_folder import RunFolder
from polytag.schedule.recipe import Recipe


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint to a temporary file beside its target, then rename: a cut file is never found by its name."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save, flush to the disk, rename."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
            _flush_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Bring a rename to the disk: without it a power failure may leave the old file, or none."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Where epochs take a fraction of a second, as on computed features, saving each would take longer than training.
SHARE = 100


def can_go_on_from(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint written after this batch can be continued exactly.

    Not after an epoch's last batch, behind which Lightning would skip the validation, and not between batches that
    accumulate gradients, which no checkpoint holds.
    """
    done = batch_idx + 1
    return done < trainer.num_training_batches and done % trainer.accumulate_grad_batches == 0


class RunCheckpoint(Checkpoint):
    """Save `last.ckpt` inside epochs and at their ends, there with copies as `best.ckpt` and `phase_<k>_<size>.ckpt`.

    At an epoch's end it is called after the history's row is written, so that a run which goes on from the file lacks
    nothing. Without a validation the last epoch is the best.

    Args:
        folder: The run folder.
        recipe: Says where phases end.
        metric: Name of the monitored metric.
        mode: `max` or `min`.
        every_phase: Whether to keep one file a phase.
        every_minutes: Minutes after which `last.ckpt` is written inside an epoch; None: at the ends of epochs only.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        metric: str,
        mode: str,
        every_phase: bool = True,
        every_minutes: float | None = 10.0,
    ) -> None:
        self.folder, self.recipe = folder, recipe
        self.metric, self.mode = metric, mode
        self.every_phase, self.every_minutes = every_phase, every_minutes
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._epoch = 0
        self._saved, self._took = math.inf, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._saved = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Note the epoch: early stopping may move the trainer's counter on to the phase's end before we save."""
        self._epoch = trainer.current_epoch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save inside the epoch when it is time; SIGTERM, after which Lightning ends the training, makes it so."""
        if can_go_on_from(trainer, batch_idx) and self._is_time(trainer, batch_idx):
            self.save(trainer)

    def _is_time(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        is_time = self.every_minutes is not None and time.monotonic() - self._saved >= 60 * self.every_minutes
        if trainer.world_size == 1:
            return is_time or trainer.received_sigterm
        # Saving takes all processes, so they must agree; asking at each batch would make them wait for one another.
        return batch_idx % 20 == 0 and trainer.strategy.reduce_boolean_decision(is_time, all=False)

    def save(self, trainer: pl.Trainer) -> None:
        """Write `last.ckpt`, with the optimizer."""
        start = time.monotonic()
        trainer.save_checkpoint(self.folder.checkpoint("last"), weights_only=False)
        self._saved = time.monotonic()
        self._took = self._saved - start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save this epoch, unless it is neither the best nor a phase's last and took hardly longer than saving does."""
        score = trainer.callback_metrics.get(self.metric)
        value = math.nan if score is None else float(score)
        is_best, is_phase_end = self._is_better(value), self.recipe.is_phase_end(trainer.current_epoch)
        is_needed = is_phase_end or (is_best and not math.isnan(value))  # unscored epochs are as good as one another
        if not is_needed and not self._is_worth_while(trainer):
            return
        if is_best:
            self.best, self.best_epoch = value, self._epoch
        self.save(trainer)
        if trainer.is_global_zero:
            if is_best:
                self._copy("best")
            if self.every_phase and is_phase_end:
                index = self.recipe.index_at(trainer.current_epoch)
                self._copy(f"phase_{index}_{self.recipe.phases[index].image_size}")
        trainer.strategy.barrier()

    def _is_worth_while(self, trainer: pl.Trainer) -> bool:
        """Whether the time since the last save is many times what that took; all processes agree."""
        worth = self.every_minutes == 0 or time.monotonic() - self._saved >= SHARE * self._took
        return trainer.strategy.reduce_boolean_decision(worth, all=False)

    def _is_better(self, value: float) -> bool:
        """Whether a score beats the best so far. An undefined one never does, unless all were: then the last counts."""
        if self.best is None or math.isnan(self.best):
            return True
        if math.isnan(value):
            return False
        return value > self.best if self.mode == "max" else value < self.best

    def _copy(self, name: str) -> None:
        """Copy `last.ckpt` under another name, atomically; hard links would make two names of one file."""
        source, target = self.folder.checkpoint("last"), self.folder.checkpoint(name)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)

    def state_dict(self) -> dict[str, Any]:
        """Return the best so far."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best of a checkpoint."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
