"""Exponential moving average of the weights, scored beside the weights themselves."""

from typing import Any

import pytorch_lightning as pl

from polytag.errors import UserError
from polytag.models.average import WeightAverage
from polytag.models.classifier import Classifier


class EMA(pl.Callback):
    """Keep the average up to date. `val/*` scores it, `val_raw/*` the weights in training; the classifier does both.

    Lightning's own `EMAWeightAveraging` scores the average only.

    Args:
        decay: How much of the average stays at each optimizer step: 0.98 remembers about 50 steps, 0.9998 about 5,000.
    """

    def __init__(self, decay: float = 0.98) -> None:
        if not 0.0 < decay < 1.0:
            raise UserError(f"callbacks.ema.decay must lie between 0 and 1, not {decay}.")
        self.decay = decay
        self._step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start the average; a checkpoint that is loaded next replaces it."""
        assert isinstance(pl_module, Classifier)
        pl_module.average = WeightAverage(pl_module.network, self.decay)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Follow the network to its device."""
        assert isinstance(pl_module, Classifier)
        assert pl_module.average is not None
        pl_module.average.to(pl_module.device)
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Take in the new weights; batches that only accumulate gradients change none."""
        assert isinstance(pl_module, Classifier)
        if pl_module.average is not None and trainer.global_step > self._step:
            self._step = trainer.global_step
            pl_module.average.update(pl_module.network)
