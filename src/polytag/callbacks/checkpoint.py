"""Checkpoints of a run: the best by the monitored metric, the last, one a phase."""

import math
import os
import shutil
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
        finally:
            temporary.unlink(missing_ok=True)


class RunCheckpoint(Checkpoint):
    """Save `last.ckpt` at each epoch's end, and copies of it as `best.ckpt` and `phase_<k>_<size>.ckpt`.

    Called after the history's row is written, so that a run which resumes from the file lacks nothing. Without a
    validation the last epoch is the best.

    Args:
        folder: The run folder.
        recipe: Says where phases end.
        metric: Name of the monitored metric.
        mode: `max` or `min`.
        every_phase: Whether to keep one file a phase.
    """

    def __init__(self, folder: RunFolder, recipe: Recipe, metric: str, mode: str, every_phase: bool = True) -> None:
        self.folder, self.recipe = folder, recipe
        self.metric, self.mode, self.every_phase = metric, mode, every_phase
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._epoch = 0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Note the epoch: early stopping may move the trainer's counter on to the phase's end before we save."""
        self._epoch = trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save this epoch."""
        score = trainer.callback_metrics.get(self.metric)
        value = math.nan if score is None else float(score)
        if is_best := self._is_better(value):
            self.best, self.best_epoch = value, self._epoch
        trainer.save_checkpoint(self.folder.checkpoint("last"), weights_only=False)  # with the optimizer
        if trainer.is_global_zero:
            if is_best:
                self._copy("best")
            if self.every_phase and self.recipe.is_phase_end(trainer.current_epoch):
                index = self.recipe.index_at(trainer.current_epoch)
                self._copy(f"phase_{index}_{self.recipe.phases[index].image_size}")
        trainer.strategy.barrier()

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
