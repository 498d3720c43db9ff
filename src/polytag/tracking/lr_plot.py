"""What a range test leaves: its picture, and its points as CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polytag.run_folder import write_atomically
from polytag.tracking.style import BLUE, GREEN, GREY, ORANGE, RED, clean, legend_beside, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from polytag.schedule.range_test import Sweep

MARKERS = (("o", 11, RED), ("s", 9, ORANGE), ("D", 7, GREEN), ("v", 6.5, "#111827"))  # shape, size, colour
LABELS = {"minimum": "minimum/10"}


def write_points(sweep: "Sweep", path: Path) -> None:
    """Write one row a step: the rate, the loss of its batch, the smoothed loss."""
    columns = zip(sweep.rates, sweep.losses, sweep.smoothed, strict=True)
    rows = [",".join(f"{value:.8g}" for value in row) for row in columns]
    write_atomically(path, "\n".join(["lr,loss,smoothed_loss", *rows]) + "\n")


def plot_sweep(
    sweep: "Sweep", judged: slice, suggestions: Mapping[str, float], chosen: str, note: str, title: str, path: Path
) -> None:
    """Draw the losses over the rates, on a logarithmic axis, with the suggestions on the smoothed one.

    Args:
        sweep: The rates and losses.
        judged: The points that the suggestions were made from; the others are drawn paler.
        suggestions: Rate by the name of its rule.
        chosen: The rule that is followed; it gets a line down to the axis.
        note: What stands beside that rule's name.
        title: What was tested.
        path: Where the PNG goes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.plot(sweep.rates, sweep.losses, color="#c5cad3", linewidth=1, label="loss of each batch")
    axes.plot(sweep.rates, sweep.smoothed, color=BLUE, linewidth=1.6, alpha=0.35)
    axes.plot(sweep.rates[judged], sweep.smoothed[judged], color=BLUE, linewidth=2, label="smoothed")
    _mark(axes, sweep, suggestions, chosen, note)
    # The explosion at the end would squash what is to be seen.
    low, high = min(sweep.losses.min(), sweep.smoothed.min()), sweep.smoothed[: judged.stop].max()
    axes.set_ylim(low - 0.05 * (high - low), high + 0.3 * (high - low))
    axes.set_xlabel("learning rate of the head; the other groups keep their ratios to it")
    axes.set_ylabel("training loss")
    axes.set_title(title, fontsize=10, loc="left")
    legend_beside(axes)
    clean(axes)
    save(figure, path)


def _mark(axes: "Axes", sweep: "Sweep", suggestions: Mapping[str, float], chosen: str, note: str) -> None:
    """Mark each suggestion on the smoothed curve; where several coincide, the smaller marks lie on top."""
    for (name, rate), (marker, size, colour) in zip(suggestions.items(), MARKERS, strict=True):
        loss = np.interp(np.log(rate), np.log(sweep.rates), sweep.smoothed)
        label = f"{LABELS.get(name, name)}  {rate:.3g}" + (note if name == chosen else "")
        axes.plot(rate, loss, marker, color=colour, markersize=size, markeredgecolor="white", label=label, zorder=3)
        if name == chosen:
            axes.axvline(rate, color=GREY, linewidth=1, linestyle=":", zorder=0)
