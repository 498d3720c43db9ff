"""The tables of a report, as its template wants them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import UNKNOWN
from polytag.inference.scoring import Result
from polytag.metrics.bootstrap import bootstrap, interval
from polytag.metrics.label_pairs import Counts, error_pairs, largest, most_frequent, true_pairs
from polytag.metrics.per_class import ClassScore, class_scores
from polytag.metrics.scores import Score
from polytag.tracking.console import duration

RESAMPLES = 1000  # of 5,000 images with 80 labels and the default scores: 2.5 s
MATRIX, CONFUSIONS = 20, 3  # labels of a matrix, confusions of a class


def score_table(
    split: str, result: Result, metrics: Mapping[str, Score], summary: Mapping[str, Any], verdict: str
) -> dict[str, Any]:
    """Return the scores of a split with their 95 % intervals, and those that stand beside them.

    Args:
        split: Its name.
        result: Its result.
        metrics: Name -> score.
        summary: What summary.json will hold: has the scores with test-time augmentation.
        verdict: What came of a search for thresholds.
    """
    _, *beside = result.columns().items()
    with_tta = {full.split("/", 1)[1]: value for full, value in summary.get(f"{split}_tta", {}).items()}
    drawn = bootstrap(metrics, result.evaluation, RESAMPLES, seed=0)
    return {
        "split": split,
        "images": len(result.table),
        "scores": result.scores,
        "intervals": {name: interval(values) for name, values in drawn.items()},
        "beside": {"with TTA": with_tta} | dict(beside) if with_tta else dict(beside),
        "notes": result.notes(),
        "verdict": None if result.optimistic is None else verdict,
    }


def class_table(split: str, result: Result, thresholds: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the scores of a split's classes in the order of their average precision, undefined ones last."""
    table = result.table
    pairs = error_pairs(table.targets, result.decisions)
    scores = class_scores(result.evaluation, table.classes)
    rows = [_class_row(score, thresholds, pairs[place], table.classes) for place, score in enumerate(scores)]
    return {
        "split": split,
        "is_optimistic": result.optimistic is not None,
        "unknown": int((table.targets == UNKNOWN).sum()),
        "labels": table.targets.size,
        "rows": sorted(rows, key=lambda row: -row["score"].average_precision if row["score"].support else math.inf),
    }


def _class_row(
    score: ClassScore, thresholds: Mapping[str, float | None], confused: Counts, classes: Sequence[str]
) -> dict[str, Any]:
    return {
        "score": score,
        "threshold": thresholds.get(score.name),
        "confusions": largest(confused, classes, CONFUSIONS),
        "confused": int(confused.sum()),
        "has_more": int(np.count_nonzero(confused)) > CONFUSIONS,
    }


def matrices(result: Result) -> list[dict[str, Any]]:
    """Return two tables of counts: labels that are true together, and what is given for what is missed."""
    classes = result.table.classes
    together, errors = true_pairs(result.table.targets), error_pairs(result.table.targets, result.decisions)
    often, wrong = np.diagonal(together), errors.sum(0) + errors.sum(1)
    texts = (
        ("True together", "Images that have both labels.", "true"),
        ("Given in place of another", "Images that miss a label and wrongly get another.", "missed ↓ given →"),
    )
    counts = ((together, often), (errors, wrong))
    return [
        {"title": title, "text": text, "corner": corner, **_matrix(pairs, sums, classes)}
        for (title, text, corner), (pairs, sums) in zip(texts, counts, strict=True)
    ]


def _matrix(counts: Counts, sums: Counts, classes: Sequence[str]) -> dict[str, Any]:
    """Return the counts of the labels with the largest sums, with the share of the largest beside the diagonal."""
    chosen: npt.NDArray[np.intp] = most_frequent(sums, MATRIX)
    shown = counts[np.ix_(chosen, chosen)]
    largest_beside = max(1, int((shown - np.diag(np.diagonal(shown))).max(initial=0)))
    return {
        "names": [classes[int(place)] for place in chosen],
        "rows": [[(count, min(1.0, count / largest_beside)) for count in row] for row in shown.tolist()],
        "labels": int((sums > 0).sum()),
    }


def time_table(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the time went, as parts with their shares, and what the run was made with."""
    seconds = summary["seconds"]
    total, wait = seconds["total"], seconds.get("data_wait", 0.0)
    parts = {
        "training steps": seconds.get("train", 0.0) - wait,
        "waiting for data": wait,
        "validation": seconds.get("validation", 0.0),
    }
    parts["everything else"] = max(0.0, total - sum(parts.values()))
    whole, speed = sum(parts.values()) or 1.0, summary["images_per_second"]
    return {
        "parts": [(name, duration(value), value / whole) for name, value in parts.items()],
        "facts": {
            "in all": duration(total),
            "training speed": f"{speed:,.0f} images/s" if speed else "-",
            "versions": ", ".join(f"{name} {number}" for name, number in summary["versions"].items()),
            "git commit": summary["git_commit"] or "-",
        },
    }
