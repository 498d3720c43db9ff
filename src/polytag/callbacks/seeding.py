"""Randomness on the device as a function of the position."""

import pytorch_lightning as pl
import torch

_STAGES = {"train": 0, "val": 1}
# Odd and far apart: they spread neighbouring positions over the generator's 64-bit seed space.
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)


class Seeding(pl.Callback):
    """Seed torch's generators from run seed, stage, epoch, batch and rank: dropout, drop-path, MixUp.

    A run that goes on in the middle of an epoch then draws what it would have drawn, with no generator state to keep.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Seed for one training batch."""
        self._seed("train", trainer, batch_idx)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed for one validation."""
        self._seed("val", trainer, 0)

    def _seed(self, stage: str, trainer: pl.Trainer, batch: int) -> None:
        position = (self.seed, _STAGES[stage], trainer.current_epoch, batch, trainer.global_rank)
        seed_device(
            trainer.strategy.root_device,
            sum((value + 1) * odd for value, odd in zip(position, _MULTIPLIERS, strict=True)) % 2**63,
        )


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generators of the CPU and of one device.

    `torch.manual_seed` does so for every kind of device, and where one is not in use yet it notes the whole call stack,
    which takes a millisecond each time and is never let go.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
