"""Rows of a label table as samples: uint8 image, multi-hot target, row number. And the order in which they come."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from polytag.data.array_store import StoredArrays
from polytag.data.label_table import LabelTable
from polytag.data.presize import Presize
from polytag.data.sampling import ClassAware
from polytag.data.storage import Layout
from polytag.data.transforms import Augmentation, symmetry_of
from polytag.errors import UserError


class SampleKey(NamedTuple):
    """Which sample, and where in the training: all that its augmentation depends on besides the run's seed."""

    epoch: int
    position: int  # in the epoch, over all ranks
    row: int


class Sample(NamedTuple):
    """One sample, before it joins a batch."""

    image: torch.Tensor  # (H, W, 3) uint8
    target: torch.Tensor  # (L,) int8, -1 where unknown
    row: int


class Batch(NamedTuple):
    """What reaches the device."""

    images: torch.Tensor  # (B, 3, H, W) uint8, channels last in memory
    targets: torch.Tensor  # (B, L) int8, -1 where unknown
    rows: torch.Tensor  # (B,) int64, row numbers in the table of this split


class FeatureBatch(NamedTuple):
    """What reaches the device where the features of the images have been computed before."""

    features: torch.Tensor  # (B, ...) float32, what the head takes
    targets: torch.Tensor  # (B, L) int8, -1 where unknown
    rows: torch.Tensor  # (B,) int64


class ImageDataset(Dataset[Sample]):
    """A label table as a map from sample keys to samples.

    Args:
        table: The rows of one split.
        augmentation: What is done to each image.
        seed: The run's seed, for random augmentation; None for fixed transforms.
        presize: What each image is shrunk to before that.
        cached: Shrunken images of these rows; those that are not there are read from their files.
    """

    def __init__(
        self,
        table: LabelTable,
        augmentation: Augmentation,
        seed: int | None = None,
        presize: Presize | None = None,
        cached: StoredArrays | None = None,
    ) -> None:
        self.table = table
        self.augmentation = augmentation
        self.seed = seed
        self.presize, self.cached = presize, cached

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: SampleKey) -> Sample:
        """Read, decode and transform one image.

        Raises:
            UserError: The file is missing or damaged.
        """
        image = None if self.cached is None else self.cached.read(key.row)
        if image is None:
            image = self.table.read(key.row, self.presize)
        seeds = None if self.seed is None else (self.seed, *key)
        return Sample(
            torch.from_numpy(self.augmentation(image, seeds)), torch.from_numpy(self.table.targets[key.row]), key.row
        )


class FeatureDataset(Dataset[FeatureBatch]):
    """A label table as a map from sample keys to features; a batch at a time, because each takes microseconds.

    Args:
        table: The rows of one split.
        features: ``(V, ...)`` float32 of each row, for each of V views.
        seed: The run's seed, for the choice among the views; None for the first.
    """

    def __init__(self, table: LabelTable, features: StoredArrays, seed: int | None = None) -> None:
        assert not len(features.missing), features.missing
        self.table, self.features, self.seed = table, features, seed

    def __len__(self) -> int:
        return len(self.table)

    def __getitems__(self, keys: Sequence[SampleKey]) -> FeatureBatch:
        """Return the samples of some keys; torch's loader looks for this name."""
        rows = np.array([key.row for key in keys])
        views = np.zeros(len(keys), np.int64)
        if self.seed is not None and self.features.shapes[0][0] > 1:
            views[:] = [symmetry_of((self.seed, *key)) for key in keys]
        features = self.features.read_parts(rows, views)
        if features is None:
            raise UserError("The features of the images were deleted while the training ran: start it again.")
        targets = self.table.targets[rows]
        return FeatureBatch(torch.from_numpy(features), torch.from_numpy(targets), torch.from_numpy(rows))


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples. The images stay height x width x channel in memory: what `channels_last` wants, without a copy."""
    return Batch(
        torch.stack([sample.image for sample in samples]).permute(0, 3, 1, 2),
        torch.stack([sample.target for sample in samples]),
        torch.tensor([sample.row for sample in samples]),
    )


class TrainSampler(Sampler[SampleKey]):
    """A new order each epoch, shared out among the ranks.

    The order depends on seed and epoch alone, so any number of workers and ranks sees the same samples. A last batch
    of one image is left out, because batch normalisation cannot train on it.

    Rows that lie in shards come window by window: the shards are shuffled and cut into windows, and then the rows of
    each window are shuffled.

    Args:
        rows: How many there are.
        batch_size: Images a batch and rank.
        seed: The run's seed.
        rank: Which of the processes this is.
        world_size: Number of processes.
        batches_done: Batches of the epoch that were trained on before; asked when the first sample is. It is above 0
            in a run that goes on in the middle of an epoch. The length stays that of the whole epoch.
        layout: Which rows lie together in shards; None where none do.
        class_aware: Draws the rows, so that some come several times and others not at all; None where each comes once.
    """

    def __init__(
        self,
        rows: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batches_done: Callable[[], int] = lambda: 0,
        layout: Layout | None = None,
        class_aware: ClassAware | None = None,
    ) -> None:
        self.layout, self.class_aware = layout, class_aware
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.rank, self.world_size, self.batches_done = rank, world_size, batches_done
        self.epoch = 0
        count = -(-rows // world_size)
        self.count = count - 1 if count % batch_size == 1 and count > 1 else count

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[SampleKey]:
        order = self._order()
        start = self.batches_done() * self.batch_size * self.world_size
        for position in range(start + self.rank, self.count * self.world_size, self.world_size):
            # Past the end the order starts again, so that all ranks have equally many.
            yield SampleKey(self.epoch, position, int(order[position % self.rows]))

    def _order(self) -> npt.NDArray[np.int64]:
        if self.class_aware is not None:
            return self.class_aware.order(self.epoch)
        return shuffled(self.rows, np.random.default_rng((self.seed, self.epoch)), self.layout)


def shuffled(rows: int, generator: np.random.Generator, layout: Layout | None = None) -> npt.NDArray[np.int64]:
    """Return the numbers from 0 to rows - 1 in random order; where they lie in shards, one window after the other."""
    if layout is None:
        return generator.permutation(rows)
    shards, shard = np.unique(layout.shard, return_inverse=True)
    window = generator.permutation(len(shards))[shard] // layout.window
    return np.lexsort((generator.permutation(rows), window))


class EvaluationSampler(Sampler[SampleKey]):
    """All rows in order, shared out among the ranks; padded so that all ranks have equally many.

    Whoever gathers the outputs drops the repeated rows by their number.
    """

    def __init__(self, rows: int, rank: int = 0, world_size: int = 1) -> None:
        self.rows, self.rank, self.world_size = rows, rank, world_size

    def __len__(self) -> int:
        return -(-self.rows // self.world_size)

    def __iter__(self) -> Iterator[SampleKey]:
        for position in range(self.rank, len(self) * self.world_size, self.world_size):
            yield SampleKey(0, position, position % self.rows)


class AnnouncingSampler(Sampler[SampleKey]):
    """The keys of another sampler; each shard is announced about one window of rows before its first row comes.

    What is announced can be fetched while the rows before it are trained on. The iteration runs in the main process,
    which therefore fetches for all its workers.
    """

    def __init__(self, sampler: TrainSampler | EvaluationSampler, layout: Layout) -> None:
        self.sampler, self.layout = sampler, layout

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch."""
        if isinstance(self.sampler, TrainSampler):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[SampleKey]:
        shard = self.layout.shard
        horizon = self.layout.window * int(np.bincount(shard - shard.min()).max())
        announced: set[int] = set()
        waiting: deque[SampleKey] = deque()
        for key in self.sampler:
            if (number := int(shard[key.row])) not in announced:
                announced.add(number)
                self.layout.want(number)
            waiting.append(key)
            if len(waiting) > horizon:
                yield waiting.popleft()
        yield from waiting
