"""Which labels are true together, and what is given in place of a missed one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def true_pairs(targets: npt.NDArray[np.int8]) -> Counts:
    """Return the ``(L, L)`` counts of images that have both labels, in the diagonal those that have the one."""
    present = (targets == 1).astype(np.int64)
    counts: Counts = present.T @ present
    return counts


def largest(counts: Counts, classes: Sequence[str], most: int) -> list[tuple[str, int]]:
    """Return the names of the largest of ``(L,)`` counts with these, the largest first; those of 0 are left out."""
    order = np.argsort(-counts, kind="stable")[:most]
    return [(classes[int(place)], int(counts[place])) for place in order if counts[place]]


def most_frequent(sums: Counts, most: int) -> npt.NDArray[np.intp]:
    """Return the places of the largest of ``(L,)`` sums above 0, in their order."""
    chosen = np.argsort(-sums, kind="stable")[:most]
    return np.sort(chosen[sums[chosen] > 0])
