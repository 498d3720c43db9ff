"""The pictures of a comparison. Each line is called `run-<place>`, so that a page can point at it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polytag.comparison.leaderboard import Leaderboard
from polytag.comparison.settings import NOTHING, is_number, short_names, text_of
from polytag.tracking.style import BLUE, GREEN, GREY, ORANGE, RED, clean, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from polytag.sweep.importance import Share
    from polytag.sweep.job import Job
    from polytag.sweep.space import Space

COLOURS = (RED, BLUE, GREEN, ORANGE, GREY)  # of so few runs; of more, the best one alone has its colour
MAX_AXES = 8
WORD = "runs"  # what texts call them: not all are jobs of a sweep
LEGEND = {
    "frameon": False,
    "fontsize": 8.5,
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "borderaxespad": 0,
    "ncols": 2,
}


def draw_curves(board: Leaderboard, column: str) -> "Figure | None":
    """Return a column of metrics.csv over the epochs, one line a run; None where no run has it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.9, 3.3), layout="constrained")
    axes = figure.subplots()
    few = len(board.rows) <= len(COLOURS)
    drawn = 0
    for place, row in reversed(list(enumerate(board.rows))):
        values = row.history.get(column, [])
        if all(map(math.isnan, values)):
            continue
        drawn += 1
        is_best = place == 0
        axes.plot(
            [epoch + 1 for epoch in row.history["epoch"]],
            values,
            "o-" if few or len(values) == 1 else "-",
            markersize=3,
            color=COLOURS[place] if few else RED if is_best else BLUE,
            linewidth=2 if is_best else 1.2,
            alpha=1 if few or is_best else 0.35,
            label=shorten(row.name, 24),
            gid=f"run-{place}",
        )
    if not drawn:
        return None
    axes.set_xlabel("epoch")
    axes.set_ylabel(column)
    axes.locator_params(axis="x", integer=True)
    clean(axes)
    if few:
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], **LEGEND)
    return figure


def importance_of(board: Leaderboard, keys: Sequence[str], seed: int) -> "tuple[list[Share], str | None]":
    """Return what part of the differences between scores each key explains; or none, and why."""
    from polytag.sweep.importance import importances
    from polytag.sweep.settings import Settings

    jobs, space = as_sweep(board, keys)
    directions = ("maximize" if board.mode == "max" else "minimize",)
    return importances(jobs, space, Settings(directions=directions, metrics=(board.metric,), seed=seed), WORD)


def draw_parallel(board: Leaderboard, keys: Sequence[str]) -> "Figure | None":
    """Return a line a run through the values of the keys to its score; None where nothing differs."""
    from polytag.sweep import parallel_plot
    from polytag.sweep.options import Objective

    jobs, space = as_sweep(board, keys)
    objective = Objective(board.metric, board.mode)
    return parallel_plot.draw_parallel(jobs, objective, space, lambda goodness: RED if goodness == 1 else BLUE)


def as_sweep(board: Leaderboard, keys: Sequence[str]) -> "tuple[list[Job], Space]":
    """Return the runs that have a score as the jobs of a sweep over some keys, whoever started them."""
    from polytag.sweep.job import DONE, Job
    from polytag.sweep.space import Space

    names = short_names(list(board.settings))
    columns = {names[key]: _alike(board.settings[key]) for key in keys}
    jobs = [
        Job(place, str(place), (), DONE, (board.score(row),), params=_params(columns, place))
        for place, row in enumerate(board.rows)
        if not math.isnan(board.score(row))
    ]
    return jobs, Space(tuple(_dimension(name, values) for name, values in columns.items()))


def _params(columns: Mapping[str, Sequence[Any]], place: int) -> dict[str, Any]:
    return {name: values[place] for name, values in columns.items() if values[place] is not NOTHING}


def _alike(values: Sequence[Any]) -> list[Any]:
    """Return values of one type: numbers where all are, else texts."""
    there = [value for value in values if value is not NOTHING]
    numbers = all(map(is_number, there)) and len(set(there)) > 1 and all(map(math.isfinite, there))
    make = text_of if not numbers else int if all(isinstance(value, int) for value in there) else float
    return [value if value is NOTHING else make(value) for value in values]


def _dimension(name: str, values: Sequence[Any]) -> Any:
    from polytag.sweep.parallel_plot import LOG_RATIO
    from polytag.sweep.space import Choices, Dimension, Interval

    there = [value for value in values if value is not NOTHING]
    if is_number(there[0]):
        low, high = min(there), max(there)
        return Dimension(name, Interval(low, high, log=low > 0 and high / low >= LOG_RATIO))
    return Dimension(name, Choices(tuple(dict.fromkeys(there))))
