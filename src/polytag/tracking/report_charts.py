"""The charts of a report that are not drawn elsewhere. matplotlib is slow to import: functions do it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polytag.metrics.calibration import Reliability
from polytag.metrics.curves import ALL, Curve
from polytag.tracking.style import BLUE, GREY, INK, clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (4.8, 3.7)  # inches: two beside each other on a screen, one on a phone


def precision_recall_chart(curves: Sequence[Curve]) -> "Figure":
    """Return precision over recall, a line a class; that of class k of those given is the element `line-<k>`."""
    figure, axes = _axes("recall", "precision")
    for number, curve in enumerate(curves):
        recall, precision = np.append(0, curve.recall), np.append(curve.precision[0], curve.precision)
        axes.step(recall, precision, where="pre", **_style(curve, number, len(curves)))
    return figure


def threshold_chart(curves: Sequence[Curve], thresholds: Mapping[str, float | None]) -> "Figure":
    """Return F2 over the threshold, a line a class named as above, with a dot at the policy's threshold.

    Args:
        curves: At thresholds among which are the policy's.
        thresholds: The policy's, by class; without one there is no dot.
    """
    figure, axes = _axes("threshold", "F2")
    for number, curve in enumerate(curves):
        dots = np.flatnonzero(curve.thresholds == thresholds.get(curve.name)).tolist()
        style = _style(curve, number, len(curves))
        axes.plot(
            curve.thresholds, curve.f_beta(2), marker="o", markevery=dots, markersize=7, markeredgewidth=0, **style
        )
    return figure


def reliability_chart(reliability: Reliability) -> "Figure":
    """Return the share of true labels over their mean probability, and how many labels there are of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], SIZE[1] + 0.8), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    shares.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    filled = (reliability.counts > 0).numpy()
    mean, share = reliability.probabilities.numpy()[filled], reliability.shares.numpy()[filled]
    shares.plot(mean, share, "o-", color=BLUE, markersize=4)
    shares.set_ylim(-0.02, 1.02)
    shares.set_ylabel("share that is true")
    edges = np.linspace(0, 1, len(filled) + 1)
    counts.bar(edges[:-1], reliability.counts.numpy(), width=0.92 / len(filled), align="edge", color=BLUE)
    counts.set_yscale("log")
    counts.set_ylim(bottom=0.7)  # a single label is seen too
    counts.set_ylabel("labels")
    counts.set_xlabel("probability")
    counts.set_xlim(0, 1)
    for axes in (shares, counts):
        clean(axes)
    return figure


def _axes(x: str, y: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    clean(axes)
    return figure, axes


def _style(curve: Curve, number: int, count: int) -> dict[str, Any]:
    if curve.name == ALL:
        return {"color": INK, "linewidth": 1.6, "linestyle": ":", "gid": f"line-{number}", "zorder": 3}
    return {"color": GREY, "linewidth": 1, "alpha": 0.5 if count <= 20 else 0.25, "gid": f"line-{number}"}
