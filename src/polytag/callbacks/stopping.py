"""Stopping a training so that it can go on: Ctrl-C, and a limit of time."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from polytag.callbacks.checkpoint import RunCheckpoint, can_go_on_from

HINT = b"\nStopping after this batch, or after the validation; Ctrl-C again stops at once.\n"


class Stopping(Checkpoint):
    """End the training after a batch, with a checkpoint, on the first Ctrl-C or when the time is up.

    The base class is Lightning's mark for callbacks to call after the others; this one must be the last.

    Args:
        max_minutes: Minutes of training that this process may take; None: no limit. A run that is stopped by it goes on
            with the same command.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.max_minutes = max_minutes
        self.is_time_up = False
        self._is_interrupted = False
        self._start = 0.0
        self._handler: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock and listen. Several processes cannot agree on a Ctrl-C: there it stops them at once."""
        self._start = time.monotonic()
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._is_interrupted = True
        os.write(2, HINT)  # print() may be what was interrupted
        self._listen_no_more()

    def _listen_no_more(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop where a checkpoint can be continued exactly."""
        if can_go_on_from(trainer, batch_idx) and self._must_stop(trainer, batch_idx):
            self._save_and_stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between epochs; after the last one there is nothing left to stop."""
        if trainer.current_epoch + 1 < int(trainer.max_epochs or 0) and self._must_stop(trainer, 0):
            self._save_and_stop(trainer)

    def _save_and_stop(self, trainer: pl.Trainer) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it outside of its class
            if isinstance(callback, RunCheckpoint):
                callback.save(trainer)
        raise KeyboardInterrupt

    def _must_stop(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        if self.max_minutes is not None and time.monotonic() - self._start >= 60 * self.max_minutes:
            self.is_time_up = True
        if trainer.world_size > 1 and self.max_minutes is not None and batch_idx % 20 == 0:
            self.is_time_up = trainer.strategy.reduce_boolean_decision(self.is_time_up, all=False)
        elif trainer.world_size > 1:
            return False
        return self.is_time_up or self._is_interrupted

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave Ctrl-C to others."""
        self._listen_no_more()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave Ctrl-C to others."""
        self._listen_no_more()
