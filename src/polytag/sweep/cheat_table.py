"""The table at the end of `train -m sweep=activation_loss`: which activation goes with which loss, and why not."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from polytag.data.label_table import PRESENT
from polytag.losses.activation_loss import WARNINGS
from polytag.metrics.baselines import FREQUENCY, NOTHING
from polytag.run_folder import Predictions, RunFolder, csv_text, read_predictions, write_atomically
from polytag.sweep.outcomes import ACCURACY, MAP, REFUSED, RULE, THRESHOLD, given_labels, judge
from polytag.sweep.running import REFUSED_FILE
from polytag.tracking.console import console

CSV_FILE = "cheat_table.csv"
GUESS, UNJUDGED = "guess", "not judged"


@dataclass(frozen=True)
class Row:
    """One pair of an activation and a loss, or a guess.

    Attributes:
        job: Name of the run's folder; empty of a guess.
        activation: Of the last layer; the name of a guess.
        loss: The cross-entropy; empty of a guess.
        outcome: One of those in `outcomes.RULE`, or `refused`, `guess`, `not judged`.
        map: `val/map`.
        accuracy: `val/accuracy`.
        labels: How many labels an image is given at 0.5, on average.
        true_labels: How many it has.
        reason: Why the outcome is what it is.
    """

    job: str
    activation: str
    loss: str
    outcome: str
    map: float | None = None
    accuracy: float | None = None
    labels: float | None = None
    true_labels: float | None = None
    reason: str = ""


def write_cheat_table(folder: Path) -> None:
    """Print one row a job of a sweep, and write the rows into its folder; read what the jobs have left there."""
    rows = read_rows(folder)
    write_rows(rows, folder / CSV_FILE)
    print_rows(rows)
    console.print(f"Written to {folder / CSV_FILE}")


def read_rows(folder: Path) -> list[Row]:
    """Return the rows of the jobs in a sweep's folder, in their order, and behind them those of the guesses."""
    jobs = [RunFolder(path) for path in sorted(folder.iterdir(), key=_by_number) if path.is_dir()]
    rows = [_row_of_run(job) if job.is_finished else _row_of_refused(job) for job in jobs]
    judged = next((job for job in jobs if job.predictions("val").is_file() and job.is_finished), None)
    return [row for row in rows if row is not None] + ([] if judged is None else _rows_of_guesses(judged))


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return what sorts 10_none_bce behind 9_none_bce."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _row_of_refused(job: RunFolder) -> Row | None:
    """Return the row of a job that refused its pair; None where it has not ended."""
    file = job.path / REFUSED_FILE
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    pair = content["criterion"]
    return Row(job.path.name, pair["activation"], pair["loss"], REFUSED, reason=content["reason"])


def _row_of_run(job: RunFolder) -> Row:
    criterion = job.read_config().criterion
    pair = (str(criterion.activation), str(criterion.loss))
    summary = job.read_summary()
    scores = summary.get("val", {})
    if missing := [name for name in (MAP, ACCURACY) if scores.get(name) is None]:
        return Row(job.path.name, *pair, UNJUDGED, reason=f"The run has no {' and no '.join(missing)}.")
    predictions = read_predictions(job.predictions("val"))
    given = given_labels(predictions.probabilities, predictions.targets)
    outcome, found = judge(scores, summary["baselines"]["val"], given, predictions.targets)
    reason = " ".join(sentence for sentence in (found, _why(pair)) if sentence)
    return Row(job.path.name, *pair, outcome, *_numbers(scores, predictions, predictions.probabilities), reason)


def _why(pair: tuple[str, str]) -> str:
    """Return what is wrong with a pair, as a sentence; empty where nothing is."""
    text = WARNINGS.get(pair, "")
    return text[:1].upper() + text[1:]


def _rows_of_guesses(job: RunFolder) -> list[Row]:
    """Return what the guesses beside a run score; they are the same beside every run on the same rows."""
    summary, predictions = job.read_summary(), read_predictions(job.predictions("val"))
    shares = np.array([summary["train_labels"][name] for name in predictions.classes], np.float64)
    constants = {NOTHING: np.zeros_like(shares), FREQUENCY: shares}
    return [
        Row("", name, "", GUESS, *_numbers(summary["baselines"]["val"][name], predictions, constant))
        for name, constant in constants.items()
    ]


def _numbers(
    scores: dict[str, float | None], predictions: Predictions, probabilities: Any
) -> tuple[float | None, float | None, float, float]:
    """Return the two scores of some probabilities, and how many labels an image is given and has."""
    targets = predictions.targets
    given = given_labels(np.broadcast_to(probabilities, targets.shape), targets)
    return scores.get(MAP), scores.get(ACCURACY), _labels_an_image(given), _labels_an_image(targets == PRESENT)


def _labels_an_image(labels: Any) -> float:
    return float(labels.sum(1).mean())


def write_rows(rows: Sequence[Row], file: Path) -> None:
    """Write the rows as a CSV; a number that there is not becomes an empty cell."""
    cells = [["" if value is None else str(value) for value in astuple(row)] for row in rows]
    write_atomically(file, csv_text([field.name for field in fields(Row)], cells))


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table, and below it the rule and the reasons, which are too long for a column."""
    true_labels = next((row.true_labels for row in rows if row.true_labels is not None), None)
    table = Table(title="Activations and losses", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for name in ("activation", "loss", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in (MAP, ACCURACY, f"labels at {THRESHOLD}\n(true {_cell(true_labels, 2)})"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (_cell(row.map), _cell(row.accuracy), _cell(row.labels, 2))
        table.add_row(row.activation, row.loss, row.outcome, *numbers)
    console.print(table)
    console.print(RULE, *_reasons(rows), sep="\n")


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Return one line a reason, with the pairs that it is about."""
    pairs: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            pairs.setdefault(row.reason, []).append(f"{row.activation} x {row.loss}")
    return [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in pairs.items()]


def _cell(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
