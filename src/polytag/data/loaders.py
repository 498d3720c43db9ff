"""The loaders: in which order, by whom and from where samples are read."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Sampler

from polytag.data.array_store import StoredArrays
from polytag.data.dataset import (
    AnnouncingSampler,
    EvaluationSampler,
    FeatureDataset,
    ImageDataset,
    SampleKey,
    TrainSampler,
    collate,
)
from polytag.data.label_table import LabelTable
from polytag.data.presize import Presize
from polytag.data.resize_cache import ResizeCache
from polytag.data.sampling import SHUFFLED, class_aware
from polytag.data.storage import Layout
from polytag.data.transforms import Augmentation, Transforms
from polytag.schedule.recipe import Phase
from polytag.threads import available_cores

Loader = DataLoader[Any]


class Share(NamedTuple):
    """Which part of the rows this process reads: one of `world_size` equal ones."""

    rank: int = 0
    world_size: int = 1


ALONE = Share()


def default_workers() -> int:
    """Return the number of loader processes that suits this machine.

    On two cores without a GPU the network needs both, and workers only take turns with it.
    """
    cores = available_cores()
    if torch.cuda.is_available():
        return max(1, min(8, cores - 1))
    return 0 if cores <= 2 else min(4, cores // 2)


def fixed_loader(
    table: LabelTable,
    augmentation: Augmentation,
    presize: Presize | None,
    batch_size: int,
    num_workers: int | None = None,
    *,
    share: Share = ALONE,
    cache: ResizeCache | None = None,
) -> Loader:
    """Return a loader of all rows in order, under fixed transforms."""
    workers = default_workers() if num_workers is None else num_workers
    layout = table.storage.layout(table.paths.tolist())
    return DataLoader(
        ImageDataset(table, augmentation, None, presize, look_up(cache, table, presize)),
        batch_size=batch_size,
        sampler=announced(EvaluationSampler(len(table), *share), layout),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def evaluation_loader(
    table: LabelTable,
    transforms: Transforms,
    image_size: int,
    batch_size: int,
    num_workers: int | None = None,
    *,
    share: Share = ALONE,
    cache: ResizeCache | None = None,
) -> Loader:
    """Return the loader of validation, evaluation and prediction alike."""
    augmentation, presize = transforms.evaluation(image_size), transforms.presized(image_size)
    return fixed_loader(table, augmentation, presize, batch_size, num_workers, share=share, cache=cache)


class TrainLoader(DataLoader[Any]):
    """A loader whose workers start when the first batch is asked for.

    Lightning makes its iterator before it tells the sampler the epoch, and often a second one afterwards
    (`FitLoop.setup_data` and `_TrainingEpochLoop.on_run_start` in pytorch-lightning 2.6): workers that read ahead from
    the first would read the samples of another epoch.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator is no _BaseDataLoaderIter
        yield from super().__iter__()


def announced(sampler: TrainSampler | EvaluationSampler, layout: Layout | None) -> Sampler[SampleKey]:
    """Return the sampler; where rows lie in shards, one that says beforehand which shards it comes to."""
    return sampler if layout is None else AnnouncingSampler(sampler, layout)


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
    share: Share = ALONE,
    batches_done: Callable[[], int] = lambda: 0,
    cache: ResizeCache | None = None,
    sampling: str = SHUFFLED,
) -> Loader:
    """Return a loader of as many samples as rows in a new order each epoch, augmented; see `TrainSampler`.

    A phase's own transforms and batch size come before the run's. The presize is the run's: it is that of validation.
    """
    workers = default_workers() if num_workers is None else num_workers
    batch_size, augmentation = phase.batch_size or batch_size, (phase.transforms or transforms).train(phase.image_size)
    presize, layout = transforms.presized(phase.image_size), table.storage.layout(table.paths.tolist())
    drawn = class_aware(sampling, table, seed)
    sampler = TrainSampler(len(table), batch_size, seed, *share, batches_done, layout, drawn)
    return TrainLoader(
        ImageDataset(table, augmentation, seed, presize, look_up(cache, table, presize)),
        batch_size=batch_size,
        sampler=announced(sampler, layout),
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def feature_loader(
    table: LabelTable,
    features: StoredArrays,
    batch_size: int,
    seed: int | None,
    *,
    share: Share = ALONE,
    batches_done: Callable[[], int] = lambda: 0,
    sampling: str = SHUFFLED,
) -> Loader:
    """Return a loader of features, in the order of training with a seed, in that of the rows without.

    It loads in this process: reading a batch takes less time than handing it over would.
    """
    sampler: Sampler[SampleKey]
    if seed is None:
        sampler = EvaluationSampler(len(table), *share)
    else:
        layout = table.storage.layout(table.paths.tolist())  # the order is that of the images
        drawn = class_aware(sampling, table, seed)
        sampler = TrainSampler(len(table), batch_size, seed, *share, batches_done, layout, drawn)
    return (DataLoader if seed is None else TrainLoader)(
        FeatureDataset(table, features, seed),
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=as_it_is,
        pin_memory=torch.cuda.is_available(),
    )


def as_it_is(batch: Any) -> Any:
    """Return a batch that the data set has put together."""
    return batch
