"""Where the time of a training goes."""

import time
from typing import Any

import pytorch_lightning as pl
import torch


class Timing(pl.Callback):
    """Count the seconds of training, of waiting for data and of validation, and the images trained on.

    The sums live in the checkpoint, so a resumed run counts on. Without a GPU the seconds are exact; with one, queued
    work is waited for at the end of each epoch only.
    """

    def __init__(self) -> None:
        self.seconds = {"train": 0.0, "data_wait": 0.0, "validation": 0.0}
        self.images = 0
        self._start = time.perf_counter()
        self._earlier = 0.0  # wall time of the processes before
        self._last_batch_end = self._validation_start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, perhaps in the middle of an epoch."""
        self._last_batch_end = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of an epoch."""
        self._last_batch_end = time.perf_counter()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Count the wait for this batch."""
        self.seconds["data_wait"] += time.perf_counter() - self._last_batch_end

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images and the seconds since the batch before."""
        self.images += len(batch.targets) * trainer.world_size
        if batch_idx + 1 == trainer.num_training_batches and torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds["train"] += now - self._last_batch_end
        self._last_batch_end = now

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of a validation."""
        self._validation_start = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop it."""
        self.seconds["validation"] += time.perf_counter() - self._validation_start

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, and the wall time since the first process of the training began with it."""
        elapsed = self._earlier + time.perf_counter() - self._start
        return {"seconds": dict(self.seconds), "images": self.images, "elapsed": elapsed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the sums of a checkpoint."""
        self.seconds, self.images = dict(state_dict["seconds"]), int(state_dict["images"])
        self._earlier = float(state_dict.get("elapsed", 0.0))
