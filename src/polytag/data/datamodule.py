"""The datamodule: loaders for the phase that the training is in."""

import os
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from polytag.data.dataset import Batch, EvaluationSampler, ImageDataset, TrainSampler, collate
from polytag.data.label_table import TRAIN, VAL, LabelTable
from polytag.data.transforms import Transforms
from polytag.errors import UserError

Loader = DataLoader[Any]


def default_workers() -> int:
    """Return the number of loader processes that suits this machine.

    On two cores without a GPU the network needs both, and workers only take turns with it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torch.cuda.is_available():
        return max(1, min(8, cores - 1))
    return 0 if cores <= 2 else min(4, cores // 2)


def evaluation_loader(
    table: LabelTable,
    transforms: Transforms,
    image_size: int,
    batch_size: int,
    num_workers: int | None = None,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> Loader:
    """Return a loader of all rows in order, without randomness: for validation, evaluation and prediction alike."""
    workers = default_workers() if num_workers is None else num_workers
    return DataLoader(
        ImageDataset(table, transforms.evaluation(image_size)),
        batch_size=batch_size,
        sampler=EvaluationSampler(len(table), rank, world_size),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


class DataModule(pl.LightningDataModule):
    """Loaders of the train and val rows of a table, at the image size of the current phase.

    The size is *asked for* when a loader is built (Lightning does so before each epoch, see
    `reload_dataloaders_every_n_epochs`): pushed from a hook it would reach the training one epoch late.

    Args:
        table: All rows, with their splits.
        transforms: The transform group.
        image_size_at: Image size of an epoch.
        batch_size: Images a step and process.
        num_workers: Loader processes; None for what suits the machine.
        seed: The run's seed: order and augmentation follow from it.
    """

    def __init__(
        self,
        table: LabelTable,
        transforms: Transforms,
        image_size_at: Callable[[int], int],
        batch_size: int = 32,
        num_workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UserError(f"data.batch_size must be 1 or more, not {batch_size}.")
        self.train_table, self.val_table = table.part(TRAIN), table.part(VAL)
        self.transforms, self.image_size_at = transforms, image_size_at
        self.batch_size, self.seed = batch_size, seed
        self.num_workers = default_workers() if num_workers is None else num_workers
        self._loaders: dict[str, tuple[int, Loader]] = {}

    def train_dataloader(self) -> Loader:
        """Return the training loader: the same object while the size stays, so that its workers live on."""
        return self._loader(TRAIN, self._build_train)

    def val_dataloader(self) -> Loader | list[Any]:
        """Return the validation loader, likewise; nothing where no row validates."""
        return self._loader(VAL, self._build_val) if len(self.val_table) else []

    def _loader(self, split: str, build: Callable[[int], Loader]) -> Loader:
        assert self.trainer is not None
        size = self.image_size_at(self.trainer.current_epoch)
        if self._loaders.get(split, (None, None))[0] != size:
            self._loaders.pop(split, None)  # first let go of the old workers
            self._loaders[split] = (size, build(size))
        return self._loaders[split][1]

    def _build_train(self, size: int) -> Loader:
        assert self.trainer is not None
        return DataLoader(
            ImageDataset(self.train_table, self.transforms.train(size), self.seed),
            batch_size=self.batch_size,
            sampler=TrainSampler(
                len(self.train_table), self.batch_size, self.seed, self.trainer.global_rank, self.trainer.world_size
            ),
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _build_val(self, size: int) -> Loader:
        assert self.trainer is not None
        return evaluation_loader(
            self.val_table,
            self.transforms,
            size,
            self.batch_size,
            self.num_workers,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the uint8 batch; pinned memory makes the copy asynchronous."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))
