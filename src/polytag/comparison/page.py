"""`compare.html`: the runs of a comparison on one page."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from polytag.comparison.charts import MAX_AXES, WORD, draw_curves, draw_parallel, importance_of
from polytag.comparison.comparison import Comparison
from polytag.comparison.leaderboard import Leaderboard
from polytag.comparison.paired import POLICIES_DIFFER, class_scores_of, policy_names
from polytag.comparison.pictures import stored_mistakes
from polytag.comparison.row import LOSS, Row
from polytag.comparison.settings import NOTHING, groups_that_vary_together, is_number, text_of
from polytag.comparison.terminal import epochs_text, notes_of, score_text, speed_text, time_text
from polytag.tracking.page import inline_svg, write_page

if TYPE_CHECKING:
    from polytag.sweep.importance import Share

LISTED = 6  # values of a key that are named one by one
MAX_CLASSES = 40
MAX_SHARES = 15  # keys whose importance is shown
DARKEST = 50  # percent of a colour behind the largest difference: more, and its number is hard to read


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the page."""
    board = comparison.board
    groups = groups_that_vary_together(board.settings)
    keys = [*groups, *(key for others in groups.values() for key in others)]
    charts, absences = _charts(board, list(groups), comparison.bootstrap.seed)
    write_page(
        path,
        "compare.html.jinja",
        title=f"{len(board.rows):,} run{'s' * (len(board.rows) != 1)} by {board.metric}",
        board=board,
        split=comparison.bootstrap.split,
        keys=keys,
        rows=[_row(board, place, keys, path.parent) for place in range(len(board.rows))],
        settings=[_setting(board, key, groups.get(key, [])) for key in groups],
        charts=charts,
        absences=absences,
        axes=min(len(groups), MAX_AXES) + 1,
        classes=_classes(comparison),
        paired=comparison,
        mistakes=_mistakes(comparison),
        policies=_policies(comparison),
        policies_differ=POLICIES_DIFFER,
        notes=notes_of(board),
        link=lambda row: _link(row, path.parent),
    )


def _row(board: Leaderboard, place: int, keys: Sequence[str], page: Path) -> dict[str, Any]:
    """Return the cells of a run: texts, and beside them what they are sorted by."""
    row = board.rows[place]
    cells = [(score_text(row.scores.get(name, math.nan)), row.scores.get(name, "")) for name in board.columns]
    cells += [(epochs_text(row), row.epoch or ""), (speed_text(row), _sorted(row.speed))]
    cells += [(time_text(row), _sorted(row.seconds))]
    values = [board.settings[key][place] for key in keys]
    settings = [(text_of(value), value if is_number(value) else "", is_number(value)) for value in values]
    return {"place": place, "name": row.name, "link": _link(row, page), "cells": cells, "settings": settings}


def _sorted(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _link(row: Row, page: Path) -> str:
    """Return the address of a run's report as seen from the page; empty where there is none."""
    report = row.folder.path / "report.html"
    return quote(Path(os.path.relpath(report, page)).as_posix()) if report.is_file() else ""


def _setting(board: Leaderboard, key: str, others: Sequence[str]) -> dict[str, Any]:
    """Return what to say of a key: its values with their runs and their mean scores, or its range."""
    values = board.settings[key]
    runs: dict[str, list[float]] = {}
    pairs = list(zip(board.rows, values, strict=True))
    for row, value in sorted(pairs, key=lambda pair: pair[1]) if all(map(is_number, values)) else pairs:
        runs.setdefault(text_of(value), []).append(board.score(row))
    there = [value for value in values if value is not NOTHING]
    if len(runs) > LISTED:
        ends = f", from {text_of(min(there))} to {text_of(max(there))}" if all(map(is_number, there)) else ""
        return {"key": key, "others": others, "values": [], "range": f"{len(runs)} values{ends}"}
    listed = []
    for text, scores in runs.items():
        scored = [score for score in scores if not math.isnan(score)]
        best = (max if board.mode == "max" else min)(scored, default=math.nan)
        mean = fmean(scored) if scored else math.nan
        listed.append({"text": text, "runs": len(scores), "best": best, "mean": mean})
    return {"key": key, "others": others, "values": listed, "range": ""}


def _charts(board: Leaderboard, keys: Sequence[str], seed: int) -> tuple[dict[str, Markup | None], list[str]]:
    """Return the pictures by their names, and why there is none of others."""
    charts: dict[str, Markup | None] = {"score": _curves(board, board.metric, "score"), "importance": None}
    charts["loss"] = _curves(board, LOSS, "loss") if board.metric != LOSS and not board.loss_note else None
    charts["parallel"] = None
    if not keys:
        return charts, ["The runs have the same settings." if len(board.rows) > 1 else "There is one run."]
    shares, reason = importance_of(board, keys, seed)
    absences = [f"No importance of keys: {reason}".removesuffix(".") + "."] if reason else []
    if shares:
        charts["importance"] = _importance(board, shares[:MAX_SHARES])
        if len(shares) > MAX_SHARES:
            absences.append(f"Importance is shown of {MAX_SHARES} of {len(shares)} keys, the highest.")
    order = sorted(keys, key=lambda key: -max((s.share for s in shares if _is_of(s.name, key)), default=0.0))
    shown = [key for key in keys if key in order[:MAX_AXES]]
    if (figure := draw_parallel(board, shown)) is not None:
        label = f"Parallel coordinates: a line a run through {', '.join(shown)} to {board.metric}"
        charts["parallel"] = inline_svg(figure, "parallel", label)
        if len(shown) < len(keys):
            absences.append(f"The lines run through {len(shown)} of the {len(keys)} keys that differ.")
    else:
        absences.append("No parallel coordinates: they take two runs with different scores.")
    return charts, absences


def _curves(board: Leaderboard, column: str, name: str) -> Markup | None:
    figure = draw_curves(board, column)
    label = f"{column} over the epochs, one line a run. The table above has the best values."
    return None if figure is None else inline_svg(figure, name, label)


def _importance(board: Leaderboard, shares: "Sequence[Share]") -> Markup:
    from polytag.sweep.importance import draw_importances

    figure = draw_importances(shares, f"What {board.metric} depends on, by {len(board.scored)} runs", WORD)
    listed = ", ".join(f"{share.name} {share.share:.2f}" for share in shares)
    return inline_svg(figure, "importance", f"Importance of each key: {listed}")


def _is_of(name: str, key: str) -> bool:
    return key == name or key.endswith(f".{name}")


def _classes(comparison: Comparison) -> dict[str, Any] | None:
    """Return the differences of average precisions in points of a percent, classes that differ most first."""
    import numpy as np

    compared = comparison.compared
    if len(compared.rows) < 2:
        return None
    scores = 100 * np.array([class_scores_of(one) for one in compared.predictions])
    support = (compared.predictions[0].targets == 1).sum(0)
    gaps = scores[1:] - scores[0]
    defined = np.flatnonzero(support > 0)
    largest = np.abs(gaps[:, defined]).max(0)
    order = defined[np.argsort(-largest, kind="stable")][:MAX_CLASSES]
    scale = float(np.abs(gaps[:, order]).max(initial=0)) or 1.0
    return {
        "names": [compared.predictions[0].classes[i] for i in order],
        "support": support[order].tolist(),
        "best": scores[0, order].tolist(),
        "rows": [
            (row, [(float(gap), round(DARKEST * abs(float(gap)) / scale)) for gap in line[order]])
            for row, line in zip(compared.rows[1:], gaps, strict=True)
        ],
        "left_out": len(defined) - len(order),
    }


def _mistakes(comparison: Comparison) -> dict[str, Any] | None:
    """Return what the best runs have wrong, for any two of them to be compared."""
    predictions = comparison.compared.predictions
    return stored_mistakes(comparison.evaluations, predictions[0]) if predictions else None


def _policies(comparison: Comparison) -> list[str]:
    """Return the policy of each run that is compared with the best one, its own first; none where all are the same."""
    names = policy_names([row for row, _ in comparison.evaluations[: len(comparison.differences) + 1]])
    return names if len(set(names)) > 1 else []
