"""Which labels are given in place of which."""

import numpy as np
import numpy.typing as npt


def error_pairs(targets: npt.NDArray[np.int8], decisions: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the ``(L, L)`` counts of images that miss their label of the row and wrongly get that of the column.

    Args:
        targets: ``(N, L)``, -1 where unknown: that counts on neither side.
        decisions: ``(N, L)``.
    """
    missed, added = (targets == 1) & ~decisions, (targets == 0) & decisions
    counts: npt.NDArray[np.int64] = missed.astype(np.int64).T @ added.astype(np.int64)
    return counts
