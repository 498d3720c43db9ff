"""The datamodule: loaders for the phase that the training is in."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch

from polytag.data.array_store import StoredArrays
from polytag.data.dataset import Batch, FeatureBatch
from polytag.data.label_table import TRAIN, VAL, LabelTable
from polytag.data.loaders import Loader, Share, evaluation_loader, feature_loader, train_loader
from polytag.data.resize_cache import ResizeCache
from polytag.data.sampling import SHUFFLED
from polytag.data.transforms import Transforms
from polytag.errors import UserError
from polytag.schedule.recipe import Phase, Recipe

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from polytag.models.feature_cache import FeatureCache

AnyBatch = TypeVar("AnyBatch", Batch, FeatureBatch)


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
        feature_cache: Where the features of precomputed phases are.
        sampling: `shuffled`: an epoch shows each training row once | `class_aware`: see `ClassAware`.
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
        feature_cache: "FeatureCache | None" = None,
        sampling: str = SHUFFLED,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UserError(f"data.batch_size must be 1 or more, not {batch_size}.")
        self._table = table.rows(np.isin(table.split, (TRAIN, VAL)))
        self.train_table, self.val_table = table.part(TRAIN), table.part(VAL)
        self.transforms, self.phase_at = transforms, phase_at
        self.batch_size, self.num_workers, self.seed, self.cache = batch_size, num_workers, seed, cache
        self.feature_cache, self.sampling = feature_cache, sampling
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
            start = time.perf_counter()
            written = self.cache.fill(self._table, wanted)
            if counts := [f"{count:,} at {presize.side} px" for presize, count in written.items() if count]:
                took = time.perf_counter() - start
                log.info(f"Cached shrunken images, {', '.join(counts)}, in {took:.1f} s: {self.cache.folder}")

    def train_dataloader(self) -> Loader:
        """Return the training loader: the same object while nothing changes, so that its workers live on."""
        trainer, phase = self.trainer, self._phase()
        assert trainer is not None
        wanted = (phase.image_size, phase.batch_size, phase.transforms, phase.precompute)
        if self._train is None or self._train[0] != wanted:
            self._train = None  # first let go of the old workers
            self._train = (wanted, self._build_train_loader(trainer, phase))
        return self._train[1]

    def _build_train_loader(self, trainer: pl.Trainer, phase: Phase) -> Loader:
        table, share = self.train_table, Share(trainer.global_rank, trainer.world_size)

        def done() -> int:
            return trainer.fit_loop.epoch_loop.batch_progress.current.ready

        order: dict[str, Any] = {"share": share, "batches_done": done, "sampling": self.sampling}
        if not phase.precompute:
            common = (phase, self.batch_size, self.num_workers, self.seed)
            return train_loader(table, self.transforms, *common, cache=self.cache, **order)
        features = self._features(table, phase, phase.transforms or self.transforms, phase.views)
        batch_size = phase.batch_size or self.batch_size
        return feature_loader(table, features, batch_size, self.seed, **order)

    def val_dataloader(self) -> Loader | list[Any]:
        """Return the validation loader, likewise; nothing where no row validates."""
        trainer, phase = self.trainer, self._phase()
        assert trainer is not None
        # An average of the weights has a backbone of its own, which sees the images.
        precomputed = phase.precompute and getattr(trainer.lightning_module, "average", None) is None
        wanted = (phase.image_size, phase.batch_size, precomputed)
        if not len(self.val_table):
            return []
        if self._val is None or self._val[0] != wanted:
            self._val = None
            self._val = (wanted, self._build_val_loader(trainer, phase, precomputed))
        return self._val[1]

    def _build_val_loader(self, trainer: pl.Trainer, phase: Phase, precomputed: bool) -> Loader:
        table, share = self.val_table, Share(trainer.global_rank, trainer.world_size)
        batch_size = phase.batch_size or self.batch_size
        if precomputed:
            return feature_loader(
                table, self._features(table, phase, self.transforms, 1), batch_size, None, share=share
            )
        common = (self.transforms, phase.image_size, batch_size, self.num_workers)
        return evaluation_loader(table, *common, share=share, cache=self.cache)

    def _features(self, table: LabelTable, phase: Phase, transforms: Transforms, views: int) -> StoredArrays:
        """Return the features that the network, as it is now, gives for a table's rows at a phase's size."""
        from polytag.models.feature_cache import Look
        from polytag.models.network import Network

        trainer = self.trainer
        assert trainer is not None and self.feature_cache is not None
        precision, autocast = str(trainer.precision), trainer.precision_plugin.forward_context
        presize = self.transforms.presized(phase.image_size)
        look = Look(transforms, presize, phase.image_size, views, precision, autocast)
        network = trainer.lightning_module.get_submodule("network")
        assert isinstance(network, Network)
        return self.feature_cache.fill(network, table, look)

    def _phase(self) -> Phase:
        assert self.trainer is not None
        return self.phase_at(self.trainer.current_epoch)

    def transfer_batch_to_device(self, batch: AnyBatch, device: torch.device, dataloader_idx: int) -> AnyBatch:
        """Move the uint8 batch, or the features; pinned memory makes the copy asynchronous."""
        return type(batch)(*(tensor.to(device, non_blocking=True) for tensor in batch))
