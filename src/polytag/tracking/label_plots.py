"""Pictures of a label matrix: how often each class occurs, which occur together, which are mistaken."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import PRESENT, UNKNOWN
from polytag.metrics.label_pairs import true_shares
from polytag.tracking.console import short_count
from polytag.tracking.style import BLUE, INK, clean, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Targets = npt.NDArray[np.int8]

MAX_CLASSES = 100
MAX_PAIRED = 24  # classes a side of a matrix of pairs
MAX_NUMBERED = 20  # classes, up to which each cell of the matrix says its number


def draw_counts(targets: Targets, classes: Sequence[str]) -> "Figure":
    """Return bars of how many images have each label, the most frequent on top, with their share.

    Args:
        targets: ``(N, L)``: 1, 0, or -1 where unknown. Shares are of the images of which it is known.
        classes: The L names.
    """
    from matplotlib.figure import Figure

    counts, known = (targets == PRESENT).sum(0), (targets != UNKNOWN).sum(0)
    shown = _most_frequent(counts)
    figure = Figure(figsize=(7, 1.0 + 0.22 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))[::-1]
    axes.barh(places, counts[shown], height=0.7, color=BLUE, alpha=0.85)
    largest = max(1, counts.max())
    for place, i in zip(places, shown, strict=True):
        share = f"  ({_percent(counts[i] / known[i])})" if known[i] else ""
        unsure = f"  {len(targets) - known[i]:,} unknown" if known[i] < len(targets) else ""
        text = f"{counts[i]:,}{share}{unsure}"
        axes.text(counts[i] + 0.01 * largest, int(place), text, va="center", fontsize=8, color=INK)
    axes.set_yticks(places, [shorten(classes[i], 30) for i in shown], fontsize=9, parse_math=False)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, (1.28 if (known == len(targets)).all() else 1.42) * largest)
    axes.locator_params(axis="x", integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("images")
    axes.set_title(_title("Images with each label", shown, classes), fontsize=10, loc="left")
    clean(axes, grid="x")
    return figure


def draw_cooccurrence(targets: Targets, classes: Sequence[str]) -> "Figure":
    """Return a matrix: of the images with a row's label, the share that has the column's label too.

    Where there are few classes, the cells have their percentages and the diagonal the number of images.

    Args:
        targets: ``(N, L)``: 1, 0, or -1 where unknown. Images where the column's label is unknown are left out.
        classes: The L names.
    """
    from matplotlib.figure import Figure

    counts = (targets == PRESENT).sum(0)
    shown = _most_frequent(counts)
    shares = true_shares(targets[:, shown])
    are_few = len(shown) <= MAX_NUMBERED
    side = max(len(shown) * (0.44 if are_few else 0.15), 2.6)
    figure = Figure(figsize=(side + 3.0, side + 2.6), layout="compressed")
    axes = figure.subplots()
    _draw_matrix(figure, axes, shares)
    names = [shorten(classes[i], 24) for i in shown]
    size = 8.5 if are_few else 6.5
    axes.set_xticks(range(len(shown)), names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(shown)), names, fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if are_few:
        _write_numbers(axes, shares, counts[shown])
    title = "Of the images with the label on the left,\nthe share that has the one below too"
    figure.suptitle(_title(title, shown, classes), fontsize=10, x=0.02, ha="left")
    return figure


def draw_pairs(
    counts: npt.NDArray[np.integer], classes: Sequence[str], row_name: str, column_name: str, title: str
) -> "Figure":
    """Return a matrix of counts with its numbers; of very many labels the rows and columns with the largest sums.

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
    left_out = "" if len(classes) <= MAX_PAIRED else f", {MAX_PAIRED} of {len(classes):,} labels a side"
    axes.set_title(f"{title}{left_out}", fontsize=10, loc="left")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom", "left"]].set_color("#d1d5db")
    return figure


def _draw_matrix(figure: "Figure", axes: "Axes", shares: npt.NDArray[np.float64]) -> None:
    """Draw the cells and their scale, in which small shares are told apart; the diagonal, always 1, is grey."""
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colours = colormaps["Blues"].with_extremes(bad="#e5e7eb")
    cells = shares.copy()
    np.fill_diagonal(cells, np.nan)
    image = axes.imshow(cells, cmap=colours, norm=PowerNorm(0.5, 0, 1))
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 3.2 / figure.get_figheight()), aspect=14, pad=0.02)
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1], labels=["0", "5%", "20%", "50%", "100%"], fontsize=8.5)
    bar.outline.set_visible(False)


def _write_numbers(axes: "Axes", shares: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if row == column:
            axes.text(column, row, short_count(int(counts[row])), ha="center", va="center", fontsize=7.5, color=INK)
        elif share > 0:
            colour = "white" if share > 0.4 else INK
            axes.text(column, row, _percent(share), ha="center", va="center", fontsize=7.5, color=colour)


def _largest(sums: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Return the places of the largest sums, in their order."""
    return np.sort(np.argsort(-sums, kind="stable")[:MAX_PAIRED])


def _most_frequent(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    return np.argsort(-counts, kind="stable")[:MAX_CLASSES]


def _title(text: str, shown: npt.NDArray[np.intp], classes: Sequence[str]) -> str:
    return text if len(shown) == len(classes) else f"{text}: the {len(shown)} most frequent of {len(classes):,}"


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"
