"""A matrix of counts, one row and one column a label. matplotlib is slow to import: the function does it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polytag.tracking.style import INK, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LABELS = 24


def plot_co_occurrence(
    counts: npt.NDArray[np.integer], classes: Sequence[str], row_name: str, column_name: str, title: str
) -> "Figure":
    """Return the matrix with its numbers; of very many labels the rows and columns with the largest sums.

    Args:
        counts: ``(L, L)``.
        classes: The L names.
        row_name: What a row is.
        column_name: What a column is.
        title: What is counted.
    """
    from matplotlib.figure import Figure

    rows, columns = _largest(counts.sum(1)), _largest(counts.sum(0))
    shown = counts[np.ix_(rows, columns)]
    figure = Figure(figsize=(max(0.42 * len(columns) + 2.6, 5.4), 0.34 * len(rows) + 2.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(
        np.where(shown > 0, shown, np.nan), cmap="Blues", vmin=0, vmax=1.25 * max(1, shown.max()), aspect="auto"
    )
    for (y, x), count in np.ndenumerate(shown):
        if count:
            colour = "white" if count > 0.6 * shown.max() else INK
            axes.text(x, y, f"{count}", ha="center", va="center", fontsize=7.5, color=colour)
    names = [shorten(name, 24) for name in classes]
    axes.set_yticks(range(len(rows)), [names[i] for i in rows], fontsize=8.5, parse_math=False)
    axes.set_xticks(range(len(columns)), [names[i] for i in columns], fontsize=8.5, parse_math=False, rotation=90)
    axes.set_ylabel(row_name)
    axes.set_xlabel(column_name)
    left_out = "" if len(classes) <= MAX_LABELS else f", {MAX_LABELS} of {len(classes):,} labels a side"
    axes.set_title(f"{title}{left_out}", fontsize=10, loc="left")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom", "left"]].set_color("#d1d5db")
    return figure


def _largest(sums: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Return the places of the largest sums, in their order."""
    return np.sort(np.argsort(-sums, kind="stable")[:MAX_LABELS])
