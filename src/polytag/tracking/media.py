"""What a run shows of its results: pictures and tables, made once for whichever dashboards there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polytag.inference.scoring import Result
from polytag.metrics.curves import ALL, curves
from polytag.metrics.label_pairs import error_pairs
from polytag.metrics.per_class import ClassScore, class_scores
from polytag.run_folder import RunFolder
from polytag.tracking.curves_plot import plot_precision_recall, plot_threshold_curves
from polytag.tracking.label_plots import draw_pairs
from polytag.tracking.marked_names import marked_names
from polytag.tracking.picture_choice import highest_losses, sample_rows
from polytag.tracking.picture_grid import plot_images, resize_to
from polytag.tracking.style import save

IMAGES, SIDE = 24, 192  # of each table of images; pixels
WORST = 12  # images in the picture of them
GRID = np.linspace(0, 1, 21)  # thresholds of the tables


@dataclass(frozen=True)
class Table:
    """A table; a cell is a text, a number or an image, ``(H, W, 3)`` RGB uint8."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Media:
    """What is sent at the end of a run, by name: PNG files of the run folder, and tables."""

    pictures: Mapping[str, Path] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)


def make_media(folder: RunFolder, result: Result | None, thresholds: Mapping[str, float | None]) -> Media:
    """Draw what only dashboards get, and return what there is to show.

    Args:
        folder: The run, with its other plots written.
        result: Of the validation rows, if there are any.
        thresholds: The policy's, by class.
    """
    if result is not None:
        _draw(folder.plots, result, thresholds)
    pictures = {path.stem: path for path in sorted(folder.plots.glob("*.png"))}
    return Media(pictures, {} if result is None else _tables(result, thresholds))


def _draw(plots: Path, result: Result, thresholds: Mapping[str, float | None]) -> None:
    """Draw the most wrong images, the curves of each class, and which labels are given for which."""
    table, probabilities, decisions = result.table, result.probabilities, result.decisions
    worst, _ = highest_losses(probabilities, table.targets, WORST)
    plot_images(result, worst, plots / "most_wrong.png")
    scores = [score for score in class_scores(result.evaluation, table.classes) if score.support]
    order = {score.name: score.average_precision for score in scores} | {ALL: -1.0}  # the lowest first
    corners, fine = (
        sorted(curves(probabilities, table.targets, table.classes, grid), key=lambda curve: order[curve.name])
        for grid in (None, np.linspace(0, 1, 101))
    )
    if corners:
        given = {score.name: (score.recall, score.precision) for score in scores if score.tp + score.fp}
        save(plot_precision_recall(corners, given), plots / "precision_recall.png")
        save(plot_threshold_curves(fine, thresholds), plots / "thresholds.png")
    pairs = error_pairs(table.targets, decisions)
    if pairs.any():
        words = ("missed", "wrongly given", "Images that miss one label and get another")
        save(draw_pairs(pairs, table.classes, *words), plots / "error_pairs.png")


def _tables(result: Result, thresholds: Mapping[str, float | None]) -> dict[str, Table]:
    """Return the tables that have rows."""
    worst, losses = highest_losses(result.probabilities, result.table.targets, IMAGES)
    sample = sample_rows(len(result.table), IMAGES, seed=0)
    tables = {
        "per_class": _class_table(result, thresholds),
        "thresholds": _curve_table(result),
        "error_pairs": _pair_table(result),
        "predictions": _image_table(result, sample, losses),
        "most_wrong": _image_table(result, worst, losses),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _class_table(result: Result, thresholds: Mapping[str, float | None]) -> Table:
    columns = tuple(field.name for field in fields(ClassScore))
    scores = class_scores(result.evaluation, result.table.classes)
    rows = ((*(getattr(score, name) for name in columns), thresholds.get(score.name)) for score in scores)
    return Table((*columns, "threshold"), tuple(rows))


def _curve_table(result: Result) -> Table:
    """Return precision, recall and F2 of each class at the thresholds of a grid, for curves over either."""
    found = curves(result.probabilities, result.table.targets, result.table.classes, GRID)
    rows = [
        (curve.name, *(float(value) for value in values))
        for curve in found
        for values in zip(curve.thresholds, curve.precision, curve.recall, curve.f_beta(2), strict=True)
    ]
    return Table(("class", "threshold", "precision", "recall", "f2"), tuple(rows))


def _pair_table(result: Result) -> Table:
    """Return which label was given in place of which, the most frequent first."""
    classes, counts = result.table.classes, error_pairs(result.table.targets, result.decisions)
    pairs = sorted(np.argwhere(counts).tolist(), key=lambda pair: -counts[tuple(pair)])
    rows = ((classes[missed], classes[given], int(counts[missed, given])) for missed, given in pairs)
    return Table(("missed", "wrongly given", "images"), tuple(rows))


def _image_table(result: Result, chosen: npt.NDArray[np.intp], losses: npt.NDArray[np.float64]) -> Table:
    """Return images with their true and predicted names, what is wrong with these, and all probabilities."""
    table, classes = result.table, result.table.classes
    rows = []
    for row in chosen:
        targets, decisions, pixels = table.targets[row], result.decisions[row], table.read(row)
        wrong = [name for name, kind in marked_names(targets, decisions, classes) if kind in ("added", "missed")]
        rows.append(
            (
                str(table.names[row]),
                resize_to(pixels, min(SIDE, max(pixels.shape[:2]))),
                _names(targets == 1, classes),
                _names(decisions, classes),
                " ".join(wrong),
                float(losses[row]),
                *(float(probability) for probability in result.probabilities[row]),
            )
        )
    return Table(
        ("file", "image", "true", "predicted", "wrong", "loss", *(f"p/{name}" for name in classes)), tuple(rows)
    )


def _names(chosen: npt.NDArray[Any], classes: Sequence[str]) -> str:
    return ", ".join(name for name, is_chosen in zip(classes, chosen, strict=True) if is_chosen) or "none"
