"""Which labels runs have wrong, and the images on which one run has fewer of them than another."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.generic]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mistakes:
    """What one run has wrong.

    Attributes:
        wrong: ``(N, L)`` labels that are wrongly given or missed; what is unknown is neither.
        certainty: ``(N,)`` of the surest of an image's mistakes, in percent; 0 without any.
    """

    wrong: Flags
    certainty: npt.NDArray[np.uint8]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """The number of wrong labels of each image, ``(N,)``."""
        return np.asarray(self.wrong.sum(1))


def find_mistakes(targets: Labels, probabilities: Floats, decisions: Flags) -> Mistakes:
    """Return what a run has wrong.

    Args:
        targets: ``(N, L)`` true labels.
        probabilities: ``(N, L)``.
        decisions: ``(N, L)`` labels that the run gives.
    """
    wrong = np.asarray(((targets == 1) & ~decisions) | ((targets == 0) & decisions))
    believed = np.where(targets == 1, 1 - probabilities, probabilities)
    certainty = np.rint(100 * np.where(wrong, believed, 0).max(1)).astype(np.uint8)
    return Mistakes(wrong, certainty)


def better_rows(one: Mistakes, other: Mistakes) -> npt.NDArray[np.intp]:
    """Return the rows of the images with fewer mistakes by one run than by the other.

    The largest differences come first, and among equal ones the surest mistakes of the other run. The page's JavaScript
    has the same order.
    """
    gaps = other.counts - one.counts
    rows = np.flatnonzero(gaps > 0)
    return rows[np.lexsort((-other.certainty[rows].astype(int), -gaps[rows]))]
