"""The picture of a recipe: sizes, frozen groups and rates over the epochs, drawn from the recipe alone."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polytag.schedule.recipe import Phase, Recipe
from polytag.tracking.style import GREY, GRID, INK, SHADES, clean, group_colours, legend_beside, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Inches: the epochs' part of the picture, a letter of the small writing in it.
WIDTH, LETTER = 7.2, 0.066
POINTS_AN_EPOCH, MAX_POINTS = 60, 3000


def plot_recipe(recipe: Recipe, path: Path) -> None:
    """Draw a recipe into a PNG file, see `recipe_figure`."""
    save(recipe_figure(recipe), path)


def recipe_figure(recipe: Recipe) -> "Figure":
    """Return image size, frozen groups and the learning rate of each group over the epochs."""
    from matplotlib.figure import Figure

    count = len(recipe.groups)
    heights = (1.1 if len(recipe.image_sizes) > 1 else 0.6, 0.24 * count + 0.1, max(2.4, 0.26 * count))
    figure = Figure(figsize=(WIDTH + 1.8, sum(heights) + 0.8), layout="constrained")
    sizes, lanes, rates = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    rates.set_xlim(0, recipe.epochs)
    _draw_sizes(sizes, recipe)
    _draw_lanes(lanes, recipe)
    draw_rates(rates, recipe, [(start, start + phase.epochs) for start, phase in _started(recipe)])
    rates.set_xlabel("epoch")
    rates.locator_params(axis="x", integer=True)
    phases = len(recipe.phases)
    sizes.set_title(
        f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)} in {phases} phase{'s' * (phases != 1)}",
        fontsize=10,
        loc="left",
    )
    for axes in (sizes, rates):
        clean(axes)
    for axes in (lanes, rates):
        for start in recipe.starts[1:]:
            axes.axvline(start, color=GREY, alpha=0.6, linewidth=0.8, zorder=0)
    return figure


def draw_rates(axes: "Axes", recipe: Recipe, stretches: Sequence[tuple[int, int]]) -> None:
    """Draw the rate of each group as it moves batch by batch, and name the lines beside them; a frozen group has none.

    Args:
        axes: Where to draw.
        recipe: What gives the rates.
        stretches: First epoch, and the one after the last, of each phase or of the part of it that was trained.
    """
    groups, colours = recipe.groups, group_colours(len(recipe.groups))
    taper = 2.4 if len(groups) <= 5 else 0.6
    lines: dict[str, Line2D] = {}
    peaks: list[float] = []
    lowest = np.inf
    for start, end in stretches:
        positions = np.linspace(start, end - 1e-6, min(POINTS_AN_EPOCH * (end - start), MAX_POINTS))
        moving = [recipe.group_lrs(float(position)) for position in positions]
        for order, group in enumerate(groups):
            if group in recipe.phase_at(start).frozen:
                continue
            rates = np.array([now[group] or np.nan for now in moving])  # 0 has no place on a logarithmic axis
            thickness = 1.4 + taper * (1 - order / (len(groups) - 1))  # where rates are equal, each stays visible
            (lines[group],) = axes.plot(positions, rates, color=colours[order], linewidth=thickness)
            peaks.append(float(np.nanmax(rates)))
            lowest = min(lowest, np.nanmin(rates))
    axes.set_yscale("log")
    # Curves end near 0, and nobody needs to see how near.
    axes.set_ylim(max(min(peaks) / 100, lowest / 2), max(peaks) * 1.6)
    axes.set_ylabel("learning rate")
    named = [group for group in reversed(groups) if group in lines]  # the head on top, where its rate is
    legend_beside(axes, [lines[group] for group in named], named)


def _draw_sizes(axes: "Axes", recipe: Recipe) -> None:
    """Draw the image size as steps, with the batch size where phases have one of their own."""
    largest = max(recipe.image_sizes)
    for (size, batch), same in groupby(_started(recipe), lambda item: (item[1].image_size, item[1].batch_size)):
        stretch = list(same)
        start, epochs = stretch[0][0], sum(phase.epochs for _, phase in stretch)
        axes.bar(start, size, epochs, align="edge", color=SHADES[0], edgecolor="white", linewidth=1)
        texts = [f"{size} px"] if batch is None else [f"{size} px, batch {batch}", f"{size} px"]
        _write(axes, texts, start, epochs, recipe, 0.06 * largest, "bottom")
    shown: list[int] = []
    for size in sorted(recipe.image_sizes, reverse=True):
        if not shown or shown[-1] - size > 0.14 * largest:
            shown.append(size)
    axes.set_yticks(shown)
    axes.set_ylim(0, 1.08 * largest)
    axes.set_ylabel("pixels")
    axes.tick_params(axis="x", length=0)


def _draw_lanes(axes: "Axes", recipe: Recipe) -> None:
    """Draw a lane a group, the head on top: filled with its peak rate where it trains, hatched where it is frozen."""
    for row, (group, colour) in enumerate(zip(recipe.groups, group_colours(len(recipe.groups)), strict=True)):
        for start, phase in _started(recipe):
            is_frozen = group in phase.frozen
            style = {"facecolor": "white", "hatch": "////"} if is_frozen else {"facecolor": colour, "alpha": 0.45}
            axes.barh(row, phase.epochs, 0.78, start, edgecolor=GRID if is_frozen else "white", **style)
            rate = phase.lr / phase.group_lr_div[row]
            _write(axes, ["frozen"] if is_frozen else [f"{rate:.2g}"], start, phase.epochs, recipe, row, "center")
    axes.set_yticks(range(len(recipe.groups)), recipe.groups, fontsize=8.5)
    axes.set_ylim(-0.5, len(recipe.groups) - 0.5)
    axes.tick_params(axis="both", length=0, labelbottom=False)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)


def _write(
    axes: "Axes", texts: Sequence[str], start: int, epochs: int, recipe: Recipe, height: float, anchor: str
) -> None:
    """Write the first of the texts for which the epochs are wide enough."""
    room = WIDTH * epochs / recipe.epochs
    for text in texts:
        if LETTER * len(text) < room:
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
            axes.text(
                start + epochs / 2,
                height,
                text,
                ha="center",
                va=anchor,
                fontsize=7.5,
                color=GREY if text == "frozen" else INK,
                bbox=box if text == "frozen" else None,
            )
            return


def _started(recipe: Recipe) -> list[tuple[int, Phase]]:
    return list(zip(recipe.starts, recipe.phases, strict=True))
