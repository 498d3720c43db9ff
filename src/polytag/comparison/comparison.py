"""All that is said about some runs: computed once, for the page and for the file of numbers."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from polytag.comparison.leaderboard import Leaderboard
from polytag.comparison.paired import (
    CHOSEN,
    COMPARED,
    SHOWN,
    Compared,
    differences_from_best,
    read_compared,
    read_evaluations,
)
from polytag.comparison.row import Row
from polytag.comparison.settings import NOTHING
from polytag.errors import first_few

if TYPE_CHECKING:
    from polytag.metrics.bootstrap import Difference
    from polytag.metrics.evaluation import Evaluation
    from polytag.metrics.scores import Score


@dataclass(frozen=True)
class Bootstrap:
    """How scores are compared: the scores, the number of resamples, their seed, and the split."""

    metrics: "Mapping[str, Score]"
    resamples: int
    seed: int
    split: str


@dataclass(frozen=True)
class Comparison:
    """Runs, and what is known of the best of them on the same images.

    Attributes:
        board: All runs.
        bootstrap: How they were compared.
        metric: The score that was resampled, without its split.
        compared: The first runs whose predictions are for the same images, the best first.
        evaluations: Of the first of these.
        differences: From the best run: of the next ones in `evaluations`.
    """

    board: Leaderboard
    bootstrap: Bootstrap
    metric: str
    compared: Compared
    evaluations: "list[tuple[Row, Evaluation]]"
    differences: "list[tuple[Row, Difference]]"

    @property
    def warning(self) -> str:
        """What to say where scores are of other images; empty where they are not."""
        left_out, rows = len(self.compared.left_out), self.compared.rows
        if not left_out or not rows:
            return ""
        names = first_few([row.name for row, _ in self.compared.left_out])
        return (
            f"{left_out} of the first {left_out + len(rows)} runs have no predictions for the same images as "
            f"{rows[0].name}, so their scores may not compare with its own: {names}. runs=[...] chooses runs that do."
        )


def make_comparison(board: Leaderboard, bootstrap: Bootstrap) -> Comparison:
    """Compare the first runs of a leaderboard on the images of the best one."""
    compared = read_compared(board.rows[:SHOWN], bootstrap.split)
    evaluations = read_evaluations(compared, bootstrap.split, CHOSEN)
    asked = board.metric.rpartition("/")[2]
    metric = asked if asked in bootstrap.metrics else next(iter(bootstrap.metrics))
    metrics = {metric: bootstrap.metrics[metric]}
    found = differences_from_best(evaluations[:COMPARED], metrics, bootstrap.resamples, bootstrap.seed)
    differences = [(row, one[metric]) for row, one in found]
    return Comparison(board, bootstrap, metric, compared, evaluations, differences)


def best_pairs(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the comparisons with the best run, as they are written to a file."""
    if not comparison.evaluations:
        return []
    best, evaluation = comparison.evaluations[0]
    return [
        {
            "a": str(row.folder.path),
            "b": str(best.folder.path),
            "images": len(evaluation),
            "differences": {comparison.metric: asdict(difference)},
        }
        for row, difference in comparison.differences
    ]


def listed_runs(board: Leaderboard) -> list[dict[str, Any]]:
    """Return all runs as plain values, those of the leaderboard first."""
    finished = [
        {
            "run": str(row.folder.path),
            "score": _or_none(board.score(row)),
            "epoch": row.epoch,
            "epochs": row.epochs,
            "scores": dict(row.scores),
            "images_per_second": _or_none(row.speed),
            "seconds": _or_none(row.seconds),
            "settings": {key: values[place] for key, values in board.settings.items() if values[place] is not NOTHING},
            "remarks": list(row.remarks),
        }
        for place, row in enumerate(board.rows)
    ]
    return finished + [{"run": str(row.folder.path), "broken": row.broken} for row in board.others]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
