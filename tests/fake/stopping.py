"""Trainings that can be held back, so that something can be done to them in good time; or that do it themselves."""

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class Slow(pl.Callback):
    """Wait before each batch as many seconds as a file says, as long as it is there."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_batch_start(self, *_: Any) -> None:
        if self.file.exists():
            time.sleep(float(self.file.read_text()))


class Signalled(pl.Callback):
    """Get a signal in the second batch of the second epoch."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (1, 1):
            os.kill(os.getpid(), self.number)
