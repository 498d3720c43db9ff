"""Pictures of a run: its history, predictions, classes, attention. matplotlib is slow to import: functions do it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polytag.inference.scoring import Result
from polytag.metrics.per_class import ClassScore, class_scores
from polytag.models.heads import AttentionHead
from polytag.run_folder import RunFolder
from polytag.schedule.recipe import Recipe
from polytag.tracking.attention_plot import plot_attention
from polytag.tracking.phase_shades import column, name_sizes, phase_spans, shade
from polytag.tracking.picture_grid import plot_predictions
from polytag.tracking.recipe_plot import draw_rates
from polytag.tracking.steps_plot import plot_loss, plot_rates
from polytag.tracking.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RED,
    clean,
    left_out_if_it_fails,
    legend_beside,
    save,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from polytag.inference.loaded_run import LoadedRun

MAX_BARS = 60


def best_row(rows: Sequence[Mapping[str, str]], metric: str, mode: str) -> int | None:
    """Return the index of the first row with the best value; None where no row has one."""
    values = column(rows, metric)
    if np.isnan(values).all():
        return None
    return int(np.nanargmax(values) if mode == "max" else np.nanargmin(values))


def write_plots(
    folder: RunFolder,
    recipe: Recipe,
    monitor: tuple[str, str],
    result: Result | None,
    run: "LoadedRun | None" = None,
) -> None:
    """Draw the pictures of a run: those that it has something to show for.

    Args:
        folder: The run, with its history written.
        recipe: What it was trained by.
        monitor: The monitored metric and its mode.
        result: Of the validation rows, if there are any.
        run: What predicted them, to show where it looks, if its head has attention.
    """
    rows, steps = folder.read_history(), folder.read_steps()
    if rows:
        with left_out_if_it_fails("plots/history.png"):
            plot_history(rows, recipe, *monitor, folder.plots / "history.png")
    if steps:
        with left_out_if_it_fails("plots/loss.png"):
            save(plot_loss(steps, rows), folder.plots / "loss.png")
        with left_out_if_it_fails("plots/lr.png"):
            save(plot_rates(steps, rows, recipe), folder.plots / "lr.png")
    if result is None:
        return
    with left_out_if_it_fails("plots/predictions.png"):
        plot_predictions(result, folder.plots / "predictions.png")
    scores = class_scores(result.evaluation, result.table.classes)
    if any(score.support for score in scores):
        with left_out_if_it_fails("plots/per_class.png"):
            plot_per_class(scores, folder.plots / "per_class.png")
    if run is not None and isinstance(run.network.head, AttentionHead):
        with left_out_if_it_fails("plots/attention.png"):  # also where a backbone's patches form no grid
            plot_attention(run.network, run.transforms, run.image_size, result, folder.plots / "attention.png")


def plot_history(rows: Sequence[Mapping[str, str]], recipe: Recipe, metric: str, mode: str, path: Path) -> None:
    """Draw the history of a run into a PNG file, see `history_figure`."""
    save(history_figure(rows, recipe, metric, mode), path)


def history_figure(rows: Sequence[Mapping[str, str]], recipe: Recipe, metric: str, mode: str) -> "Figure":
    """Return losses, the monitored metric and the learning rates over the epochs, with the phases behind them.

    Args:
        rows: The rows of metrics.csv; at least one.
        recipe: Gives the learning rates within the epochs, of which the rows hold only the last.
        metric: The monitored metric.
        mode: Whether `max` or `min` of it is best.
    """
    from matplotlib.figure import Figure

    height = max(1.6, 0.17 * len(recipe.groups))  # of the rates: each group has its name beside them
    figure = Figure(figsize=(9, 4.8 + height), layout="constrained")
    losses, scores, rates = figure.subplots(3, 1, sharex=True, height_ratios=(2.4, 2.4, height))
    epochs = column(rows, "epoch") + 1
    raw = metric.replace("val/", "val_raw/")  # of the weights in training, where averaged ones are scored
    for axes, name, colour in (
        *((losses, "train/loss", GREY), (losses, "val_raw/loss", ORANGE), (losses, "val/loss", BLUE)),
        *((scores, raw, ORANGE), (scores, metric, BLUE)),
    ):
        if name in rows[0]:
            axes.plot(epochs, column(rows, name), "o-", color=colour, markersize=3.5, label=name)
    losses.set_ylabel("loss")
    values = column(rows, metric)
    scores.set_ylabel(metric)
    if (best := best_row(rows, metric, mode)) is not None:
        scores.plot(epochs[best], values[best], "o", color=RED, markersize=9, fillstyle="none", markeredgewidth=1.6)
        scores.set_title(f"best {values[best]:.4f} in epoch {epochs[best]:.0f}", loc="right", fontsize=9, color=RED)
    rates.set_xlim(min(epochs) - 1, max(epochs) + 0.015 * len(epochs))
    draw_rates(rates, recipe, [(span.start, span.end) for span in phase_spans(rows)])
    rates.set_xlabel("epoch")
    rates.locator_params(axis="x", integer=True)
    for axes in (losses, scores, rates):
        clean(axes)
        shade(axes, phase_spans(rows))
    name_sizes(losses, phase_spans(rows))
    legend_beside(losses)
    if raw in rows[0]:
        legend_beside(scores, scores.lines[:2], [raw, metric])  # the shades are named above
    return figure


def plot_per_class(scores: Sequence[ClassScore], path: Path) -> None:
    """Draw the average precision of each class, the best on top, with its support and the score of guessing.

    Of very many classes the worst are shown: those are what one looks for.
    """
    from matplotlib.figure import Figure

    defined = sorted((s for s in scores if s.support), key=lambda s: s.average_precision)
    shown = defined[:MAX_BARS]
    figure = Figure(figsize=(7, 1.1 + 0.24 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    axes.barh(places, [s.average_precision for s in shown], height=0.7, color=BLUE, alpha=0.85)
    axes.scatter([s.chance for s in shown], places, marker="|", s=90, color=RED, linewidth=2, label="guessing")
    for place, score in zip(places, shown, strict=True):
        text = f"{score.average_precision:.2f}  ({score.support:,} image{'s' * (score.support != 1)})"
        axes.text(score.average_precision + 0.01, int(place), text, va="center", fontsize=8, color=INK)
    axes.set_yticks(places, [shorten(s.name, 30) for s in shown], fontsize=9, parse_math=False)
    axes.set_xlim(0, 1.2)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel("average precision")
    of_all = f", the {MAX_BARS} lowest of {len(defined):,}" if len(defined) > MAX_BARS else ""
    axes.set_title(f"Classes by average precision{of_all}", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    clean(axes, grid="x")
    save(figure, path)
