"""The scores of fixed thresholds as curves. matplotlib is slow to import: the function does it."""

import math
from collections.abc import Sequence
from pathlib import Path

from polytag.inference.thresholds import ThresholdScores
from polytag.tracking.style import BLUE, GREY, RED, clean, save

COLUMNS = 3


def plot_thresholds(scores: ThresholdScores, marked: Sequence[float], path: Path) -> None:
    """Draw one small plot a metric: the run, the label frequencies, and the marked thresholds.

    Args:
        scores: At least one metric.
        marked: Thresholds among those that were scored.
        path: Where the PNG goes.
    """
    from matplotlib.figure import Figure

    names = list(scores.run)
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.1 * columns, 2.4 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, name in zip(grid.flat, names, strict=False):
        axes.plot(scores.thresholds, scores.frequency[name], color=GREY, linestyle=":", label="label frequency")
        axes.axhline(scores.nothing[name], color=GREY, linestyle="--", linewidth=1, label="predict nothing")
        axes.plot(scores.thresholds, scores.run[name], color=BLUE, label="this run")
        values = [scores.run[name][scores.thresholds.index(one)] for one in marked]
        axes.plot(marked, values, "o", color=RED, markersize=5, label="asked for")
        for one, value in zip(marked, values, strict=True):
            # Below the curve, which falls towards both ends.
            offset, side = ((5, -11), "left") if one < 0.6 else ((-7, -4), "right")
            style = {"textcoords": "offset points", "ha": side, "fontsize": 6.5, "color": RED}
            axes.annotate(f"{value:.3f}", (one, value), offset, **style)
        axes.set_title(name, fontsize=10, loc="left")
        axes.set_xlim(0, 1)
        clean(axes)
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    for axes in grid.flat[max(0, len(names) - columns) : len(names)]:  # the last of each column
        axes.set_xlabel("threshold")
        axes.tick_params(labelbottom=True)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    save(figure, path)
