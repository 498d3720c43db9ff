"""Which images an epoch of training shows: each of them once, or those of rare labels more often."""

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import LabelTable
from polytag.errors import UserError, did_you_mean

SHUFFLED, CLASS_AWARE = "shuffled", "class_aware"
SAMPLINGS = (SHUFFLED, CLASS_AWARE)

Integers = npt.NDArray[np.int64]


class ClassAware:
    """Draw a class, each as likely, and then an image that has it.

    Class-aware sampling: Shen, Lin and Huang 2016, "Relay Backpropagation for Effective Learning of Deep Convolutional
    Neural Networks", https://arxiv.org/abs/1512.05830; for images with several labels: Wu et al. 2020,
    "Distribution-Balanced Loss", https://arxiv.org/abs/2007.09654. As there, classes come in rounds, each class once a
    round in random order, and each image of a class once before any comes again. Both go on from epoch to epoch: an
    epoch shows only some images of a frequent class, and the next ones show the others. Images that have no label, for
    all that is known, are one more class; classes without an image are left out.

    With several labels an image this is no balance. An image is drawn for each of its labels and brings all of them, so
    that labels that go along with rare ones become still more frequent, and images with many labels come more often
    than those with few. The shares of the labels are not those of the data, so probabilities of rare labels come out
    too high: thresholds are to be tuned on validation images, which are not sampled. And a label of three images is
    those three again and again: their augmentation differs, but they can be learnt by heart.

    What comes when depends on the seed and on the number of samples before it in the training, and on nothing else:
    where in its sequence of random numbers a draw lies is computed, not counted.

    Args:
        positives: ``(N, L)`` which labels the rows have.
        seed: The run's seed.
    """

    def __init__(self, positives: npt.NDArray[np.bool_], seed: int) -> None:
        assert len(positives), "no row to draw"
        labelled, columns = np.nonzero(positives)
        bare = np.flatnonzero(~positives.any(1))
        columns = np.concatenate([columns, np.full(len(bare), positives.shape[1])])
        by_class = np.argsort(columns, kind="stable")
        self.numbers, counts = np.unique(columns, return_counts=True)
        self.members = np.split(np.concatenate([labelled, bare])[by_class], np.cumsum(counts)[:-1])
        self.rows, self.seed = len(positives), seed

    def order(self, epoch: int) -> Integers:
        """Return the ``(N,)`` row numbers of an epoch."""
        classes, start = len(self.members), epoch * self.rows
        first = start // classes
        rounds = -(-(start + self.rows) // classes) - first
        # Each class comes once a round, so the number of the round says how often it has come before.
        turns = self._permutations(0, classes, first, rounds)
        columns = zip(self.numbers.tolist(), self.members, strict=True)
        images = np.stack([self._images(1 + number, rows, first, rounds) for number, rows in columns], axis=1)
        flat: Integers = np.take_along_axis(images, turns, axis=1).ravel()
        return flat[start - first * classes :][: self.rows]

    def _images(self, stream: int, rows: Integers, first: int, count: int) -> Integers:
        """Return the rows that a class shows in some rounds: all of them in random order, and again in another."""
        done, offset = divmod(first, len(rows))
        needed = -(-(offset + count) // len(rows))
        order: Integers = rows[self._permutations(stream, len(rows), done, needed).ravel()]
        return order[offset : offset + count]

    def _permutations(self, stream: int, size: int, first: int, count: int) -> Integers:
        """Return ``(count, size)`` permutations of an endless series of them, from the number `first` on."""
        bits = np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(stream,)))
        numbers = np.random.Generator(bits.advance(first * size)).random((count, size))
        return np.asarray(numbers.argsort(axis=1, kind="stable"))


def class_aware(sampling: str, table: LabelTable, seed: int) -> ClassAware | None:
    """Return what draws the training rows where the sampling is class-aware; None where each row comes once."""
    return ClassAware(table.positives, seed) if sampling == CLASS_AWARE else None


def check_sampling(sampling: str, table: LabelTable) -> None:
    """Refuse a sampling that there is not, or that the rows are not stored for.

    Shards are read window by window. An image of a rare label may lie in any of them, so that an epoch would read each
    shard over and over; and a balance inside the windows would leave a label out of all those where it does not occur.

    Raises:
        UserError: What to set.
    """
    if sampling not in SAMPLINGS:
        raise UserError(
            f"data.sampling={sampling} is neither {SHUFFLED} nor {CLASS_AWARE}.{did_you_mean(str(sampling), SAMPLINGS)}"
        )
    if sampling == CLASS_AWARE and table.storage.layout(table.paths.tolist()) is not None:
        raise UserError(
            f"data.sampling={CLASS_AWARE} needs images that can be read in any order, and these lie in shards: "
            f"data.sampling={SHUFFLED}, or train on the files."
        )
