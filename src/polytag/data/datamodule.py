"""The datamodule: loaders for the phase that the training is in."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from polytag.data.array_store import StoredArrays
from polytag.data.dataset import Batch, EvaluationSampler, ImageDataset, TrainSampler, collate
from polytag.data.label_table import TRAIN, VAL, LabelTable
from polytag.data.presize import Presize
from polytag.data.resize_cache import ResizeCache, available_cores
from polytag.data.transforms import Transforms
from polytag.errors import UserError
from polytag.schedule.recipe import Phase, Recipe

Loader = DataLoader[Any]


def default_workers() -> int:
    """Return the number of loader processes that suits this machine.

    On two cores without a GPU the network needs both, and workers only take turns with it.
    """
    cores = available_cores()
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
    cache: ResizeCache | None = None,
) -> Loader:
    """Return a loader of all rows in order, without randomness: for validation, evaluation and prediction alike."""
    workers = default_workers() if num_workers is None else num_workers
    presize = transforms.presized(image_size)
    return DataLoader(
        ImageDataset(table, transforms.evaluation(image_size), None, presize, look_up(cache, table, presize)),
        batch_size=batch_size,
        sampler=EvaluationSampler(len(table), rank, world_size),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


class TrainLoader(DataLoader[Any]):
    """A loader whose workers start when the first batch is asked for.

    Lightning makes its iterator before it tells the sampler the epoch, and often a second one afterwards
    (`FitLoop.setup_data` and `_TrainingEpochLoop.on_run_start` in pytorch-lightning 2.6): workers that read ahead from
    the first would read the samples of another epoch.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator is no _BaseDataLoaderIter
        yield from super().__iter__()


def look_up(cache: ResizeCache | None, table: LabelTable, presize: Presize | None) -> StoredArrays | None:
    """Return the shrunken images of the rows that are in a cache, where there is one and images are shrunk at all."""
    return None if cache is None or presize is None else cache.find(table, presize)


def train_loader(
    table: LabelTable,
    transforms: Transforms,
    phase: Phase,
    batch_size: int,
    num_workers: int | None = None,
    seed: int = 0,
    *,
    rank: int = 0,
    world_size: int = 1,
    batches_done: Callable[[], int] = lambda: 0,
    cache: ResizeCache | None = None,
) -> Loader:
    """Return a loader of all rows in a new order each epoch, augmented; see `TrainSampler`.

    A phase's own transforms and batch size come before the run's. The presize is the run's: it is that of validation.
    """
    workers = default_workers() if num_workers is None else num_workers
    batch_size, augmentation = phase.batch_size or batch_size, (phase.transforms or transforms).train(phase.image_size)
    presize = transforms.presized(phase.image_size)
    return TrainLoader(
        ImageDataset(table, augmentation, seed, presize, look_up(cache, table, presize)),
        batch_size=batch_size,
        sampler=TrainSampler(len(table), batch_size, seed, rank, world_size, batches_done),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


class DataModule(pl.LightningDataModule):
    """Loaders of the train and val rows of a table, as the current phase wants them.

    Phases are *asked for* when a loader is built (Lightning does so before each epoch, see
    `reload_dataloaders_every_n_epochs`): pushed from a hook an image size would reach the training one epoch late.

    Args:
        table: All rows, with their splits.
        transforms: The transform group.
        phase_at: Phase of an epoch: its image size, and where it has its own, batch size and training transforms.
        batch_size: Images a step and process.
        num_workers: Loader processes; None for what suits the machine.
        seed: The run's seed: order and augmentation follow from it.
        cache: Where shrunken images may be found.
    """

    def __init__(
        self,
        table: LabelTable,
        transforms: Transforms,
        phase_at: Callable[[int], Phase],
        batch_size: int = 32,
        num_workers: int | None = None,
        seed: int = 0,
        cache: ResizeCache | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UserError(f"data.batch_size must be 1 or more, not {batch_size}.")
        self._table = table.rows(np.isin(table.split, (TRAIN, VAL)))
        self.train_table, self.val_table = table.part(TRAIN), table.part(VAL)
        self.transforms, self.phase_at = transforms, phase_at
        self.batch_size, self.num_workers, self.seed, self.cache = batch_size, num_workers, seed, cache
        self._train: tuple[Any, Loader] | None = None
        self._val: tuple[Any, Loader] | None = None

    def fill_cache(self, recipe: Recipe) -> None:
        """Store what the training will read, where there is a cache: the images at each size of the recipe.

        Raises:
            UserError: There is no room for it, or an image cannot be read.
        """
        presizes = [self.transforms.presized(size) for size in recipe.image_sizes]
        wanted = [presize for presize in dict.fromkeys(presizes) if presize is not None]
        if self.cache is not None:
            self.cache.fill(self._table, wanted)

    def train_dataloader(self) -> Loader:
        """Return the training loader: the same object while nothing changes, so that its workers live on."""
        trainer, phase = self.trainer, self._phase()
        assert trainer is not None
        wanted = (phase.image_size, phase.batch_size, phase.transforms)
        if self._train is None or self._train[0] != wanted:
            self._train = None  # first let go of the old workers
            loader = train_loader(
                self.train_table,
                self.transforms,
                phase,
                self.batch_size,
                self.num_workers,
                self.seed,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
                batches_done=lambda: trainer.fit_loop.epoch_loop.batch_progress.current.ready,
                cache=self.cache,
            )
            self._train = (wanted, loader)
        return self._train[1]

    def val_dataloader(self) -> Loader | list[Any]:
        """Return the validation loader, likewise; nothing where no row validates."""
        trainer, phase = self.trainer, self._phase()
        assert trainer is not None
        wanted = (phase.image_size, phase.batch_size or self.batch_size)
        if not len(self.val_table):
            return []
        if self._val is None or self._val[0] != wanted:
            self._val = None
            loader = evaluation_loader(
                self.val_table,
                self.transforms,
                *wanted,
                self.num_workers,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
                cache=self.cache,
            )
            self._val = (wanted, loader)
        return self._val[1]

    def _phase(self) -> Phase:
        assert self.trainer is not None
        return self.phase_at(self.trainer.current_epoch)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the uint8 batch; pinned memory makes the copy asynchronous."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))
