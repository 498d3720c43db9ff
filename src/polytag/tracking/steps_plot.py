"""Loss and learning rates step by step. matplotlib is slow to import: functions do it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polytag.tracking.phase_shades import Span, column, name_sizes, phase_spans, shade
from polytag.tracking.style import BLUE, GREY, ORANGE, clean, group_colours, legend_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from polytag.schedule.recipe import Recipe

Rows = Sequence[Mapping[str, str]]
MAX_POINTS = 2000  # more are no more to be seen: the loss is averaged over as many steps as it takes


def plot_loss(steps: Rows, history: Rows) -> "Figure":
    """Return the training loss of each step, and the losses of each epoch at its last step.

    Args:
        steps: The rows of steps.csv; at least one.
        history: The rows of metrics.csv; none for a training that ended in its first epoch.
    """
    figure, axes = _figure("loss")
    numbers, losses, every = _thinned(column(steps, "step"), column(steps, "train/loss_step"))
    name = "each step" if every == 1 else f"mean of {every} steps"
    axes.plot(numbers, losses, color="#b6bcc7", linewidth=0.9, label=name)
    last_steps = _last_steps(steps)
    done = [row for row in history if int(row["epoch"]) in last_steps]
    ends = [last_steps[int(row["epoch"])] for row in done]
    for key, colour in (("train/loss", GREY), ("val_raw/loss", ORANGE), ("val/loss", BLUE)):
        if done and key in done[0]:
            axes.plot(ends, column(done, key), "o-", color=colour, markersize=3.5, label=key)
    _finish(axes, steps, done)
    legend_beside(axes)
    return figure


def plot_rates(steps: Rows, history: Rows, recipe: "Recipe") -> "Figure":
    """Return the rate of each layer group at each step; a frozen one has none.

    Args:
        steps: The rows of steps.csv; at least one.
        history: The rows of metrics.csv.
        recipe: Names the groups.
    """
    figure, axes = _figure("learning rate")
    numbers = column(steps, "step")
    lines = {}
    for order, (group, colour) in enumerate(zip(recipe.groups, group_colours(len(recipe.groups)), strict=True)):
        rates = column(steps, f"lr/{group}")
        shown = np.where(rates > 0, rates, np.nan)  # 0 has no place on a logarithmic axis
        if not np.isnan(shown).all():
            thickness = 1.4 + 1.6 * (1 - order / (len(recipe.groups) - 1)) ** 2  # equal rates stay visible
            (lines[group],) = axes.plot(numbers, shown, color=colour, linewidth=thickness)
    axes.set_yscale("log")
    _finish(axes, steps, history)
    named = [group for group in reversed(recipe.groups) if group in lines]  # the head on top, where its rate is
    shades, texts = axes.get_legend_handles_labels()
    legend_beside(axes, [*(lines[group] for group in named), *shades], [*named, *texts])
    return figure


def _figure(label: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_ylabel(label)
    axes.set_xlabel("step")
    return figure, axes


def _finish(axes: "Axes", steps: Rows, history: Rows) -> None:
    spans = spans_in_steps(steps, history)
    axes.set_xlim(int(steps[0]["step"]) - 1, int(steps[-1]["step"]) + 0.01 * len(steps))
    axes.locator_params(axis="x", integer=True)
    shade(axes, spans)
    name_sizes(axes, spans)
    clean(axes)


def spans_in_steps(steps: Rows, history: Rows) -> list[Span]:
    """Return the phases of the history by the steps done at their starts and ends."""
    ends = _last_steps(steps)
    before = int(steps[0]["step"]) - 1
    starts = dict(zip(ends, [before, *ends.values()], strict=False))
    spans = phase_spans([row for row in history if int(row["epoch"]) in ends])
    return [replace(span, start=starts[span.start], end=ends[span.end - 1]) for span in spans]


def _last_steps(steps: Rows) -> dict[int, int]:
    """Return the number of each epoch's last step."""
    return {int(row["epoch"]): int(row["step"]) for row in steps}


def _thinned(
    numbers: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], int]:
    """Return means of so many neighbours that few points remain, and of how many; a rest at the end is left out."""
    every = -(-len(numbers) // MAX_POINTS)
    whole = len(numbers) // every * every
    means = (array[:whole].reshape(-1, every).mean(1) for array in (numbers, values))
    return next(means), next(means), every
