"""Which labels are true together, and what is given in place of a missed one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def true_pairs(targets: npt.NDArray[np.int8]) -> Counts:
    """Return the ``(L, L)`` counts of images that have both labels, in the diagonal those that have the one."""
    return _count_both(targets == 1, targets == 1)


def error_pairs(targets: npt.NDArray[np.int8], decisions: npt.NDArray[np.bool_]) -> Counts:
    """Return the ``(L, L)`` counts of images that miss their label of the row and wrongly get that of the column.

    Args:
        targets: ``(N, L)``, -1 where unknown: that counts on neither side.
        decisions: ``(N, L)``.
    """
    return _count_both((targets == 1) & ~decisions, (targets == 0) & decisions)


def _count_both(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> Counts:
    both = rows.T.astype(np.float64) @ columns.astype(np.float64)  # whole numbers stay exact; BLAS has only floats
    return both.astype(np.int64)


def true_shares(targets: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Return ``(L, L)``: of the images with the row's label, the share with the column's; NaN where there is none.

    Images where the column's label is unknown are left out.
    """
    positive, known = (targets == 1).astype(np.float64), (targets >= 0).astype(np.float64)
    both, either = positive.T @ positive, positive.T @ known
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def largest(counts: Counts, classes: Sequence[str], most: int) -> list[tuple[str, int]]:
    """Return the names of the largest of ``(L,)`` counts with these, the largest first; those of 0 are left out."""
    order = np.argsort(-counts, kind="stable")[:most]
    return [(classes[int(place)], int(counts[place])) for place in order if counts[place]]


def most_frequent(sums: Counts, most: int) -> npt.NDArray[np.intp]:
    """Return the places of the largest of ``(L,)`` sums above 0, in their order."""
    chosen = np.argsort(-sums, kind="stable")[:most]
    return np.sort(chosen[sums[chosen] > 0])
