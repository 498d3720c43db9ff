"""Precision, recall and F2 of each class over the threshold. matplotlib is slow to import: functions do it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polytag.metrics.curves import ALL, Curve
from polytag.tracking.style import BLUE, GREY, ORANGE, RED, clean, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
MAX_PANELS = 24


def plot_precision_recall(curves: Sequence[Curve], chosen: Mapping[str, tuple[float, float]]) -> "Figure":
    """Return a small plot a class of precision over recall.

    Args:
        curves: In the order in which they are shown; of very many the first.
        chosen: Recall and precision of the labels that were given, by class.
    """
    figure, panels = _panels(len(curves))
    for axes, curve in zip(panels, curves, strict=False):
        recall, precision = np.append(0, curve.recall), np.append(curve.precision[0], curve.precision)
        axes.step(recall, precision, where="pre", color=BLUE, linewidth=1.6, label="thresholds")
        axes.axhline(curve.chance, color=GREY, linestyle=":", linewidth=1.2, label="guessing")
        if curve.name in chosen:
            axes.plot(*chosen[curve.name], "o", color=RED, markersize=5, label="labels given")
        axes.set_ylim(0, 1.04)
        _name(axes, curve.name)
    _finish(figure, panels, curves, "recall", "precision")
    return figure


def plot_threshold_curves(curves: Sequence[Curve], thresholds: Mapping[str, float | None]) -> "Figure":
    """Return a small plot a class of precision, recall and F2 over the threshold.

    Args:
        curves: In the order in which they are shown; of very many the first.
        thresholds: The policy's, by class; of a class without one nothing is marked.
    """
    figure, panels = _panels(len(curves))
    for axes, curve in zip(panels, curves, strict=False):
        axes.plot(curve.thresholds, curve.precision, color=ORANGE, linewidth=1.2, label="precision")
        axes.plot(curve.thresholds, curve.recall, color=GREY, linewidth=1.2, label="recall")
        axes.plot(curve.thresholds, curve.f_beta(2), color=BLUE, linewidth=1.8, label="F2")
        if (mark := thresholds.get(curve.name)) is not None and np.isfinite(mark):
            axes.axvline(mark, color=RED, linestyle="--", linewidth=1.2, label="the policy's")
        axes.set_ylim(0, 1.04)
        _name(axes, curve.name)
    _finish(figure, panels, curves, "threshold", None)
    return figure


def _panels(count: int) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    shown = min(count, MAX_PANELS)
    columns = min(COLUMNS, shown)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(max(2.5 * columns, 5.2), 2.0 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    panels = list(grid.flat)
    for axes in panels[shown:]:
        axes.axis("off")
    for axes in panels[max(0, shown - columns) : shown]:  # the last of each column
        axes.tick_params(labelbottom=True)
    return figure, panels[:shown]


def _name(axes: "Axes", name: str) -> None:
    style = "bold" if name == ALL else "normal"
    axes.set_title(shorten(name, 30), fontsize=9, loc="left", parse_math=False, fontweight=style)
    axes.set_xlim(0, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    clean(axes)


def _finish(figure: "Figure", panels: "Sequence[Axes]", curves: Sequence[Curve], x: str, y: str | None) -> None:
    """Name the axes once, the lines above, and say how many classes are left out."""
    figure.supxlabel(x, fontsize=9.5)
    if y:
        figure.supylabel(y, fontsize=9.5)
    named = {text: line for axes in panels for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        named.values(), named.keys(), loc="outside upper right", ncols=len(named), frameon=False, fontsize=8.5
    )
    if len(curves) > len(panels):
        text = f"The {len(panels) - 1} classes with the lowest average precision, of {len(curves) - 1:,}"
        figure.suptitle(text, fontsize=10, x=0.01, ha="left")
