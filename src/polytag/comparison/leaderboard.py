"""Which runs are best, by a score that all of them have."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polytag.comparison.row import LOSS, Row, common_folder
from polytag.comparison.settings import differing, differing_values, target_name
from polytag.errors import UserError, did_you_mean, first_few

LOWER_IS_BETTER = ("loss", "error")  # how the names of such scores end
LOSSES, NAMED = 5, 3  # loss functions of a note, runs of each


@dataclass(frozen=True)
class Leaderboard:
    """Runs in their order.

    Attributes:
        metric: What they are ordered by.
        mode: Whether `max` or `min` of it is best.
        rows: Finished runs, the best first; those without the score last.
        others: Runs that are broken or not finished.
        settings: What differs between the configs of `rows`: key -> a value for each.
        note: What to know of the order; empty where all runs were monitored by the metric.
        folder: What the names of the runs are relative to; empty where that is the folder of the command.
    """

    metric: str
    mode: str
    rows: list[Row]
    others: list[Row]
    settings: dict[str, list[Any]]
    note: str
    folder: str

    def score(self, row: Row) -> float:
        """Return what a run is ordered by; NaN where it has no such score."""
        return row.scores.get(self.metric, math.nan)

    @property
    def scored(self) -> list[Row]:
        """The runs that have the score."""
        return [row for row in self.rows if not math.isnan(self.score(row))]

    @property
    def columns(self) -> list[str]:
        """The scores to show, the one that counts first."""
        return list(dict.fromkeys([self.metric, "val/map", LOSS]))

    @property
    def loss_note(self) -> str:
        """What to say where the losses are of different functions; empty where they are of one."""
        rows = [row for row in self.rows if LOSS in row.scores]
        nodes = [row.config.get("criterion") for row in rows]
        runs: dict[str, list[str]] = {}
        for row, node, values in zip(rows, nodes, differing_values(nodes), strict=True):
            runs.setdefault(f"{target_name(node)} {values}".rstrip(), []).append(row.name)
        if len(runs) < 2:
            return ""
        listed = [f"{loss} in {first_few(names, NAMED)}" for loss, names in runs.items()]
        more = f"; and {len(listed) - LOSSES} more" if len(listed) > LOSSES else ""
        advice = " Order by what all runs share, such as metric=val/map." if self.metric == LOSS else ""
        return f"{LOSS} of different loss functions cannot be compared: {'; '.join(listed[:LOSSES])}{more}.{advice}"


def rank(rows: Sequence[Row], metric: str | None = None) -> Leaderboard:
    """Return the runs in the order of a score.

    Args:
        rows: What was read of them.
        metric: A score by its full name; None for the one that most of them were monitored by.

    Raises:
        UserError: No run has it.
    """
    finished = [row for row in rows if not row.broken]
    monitors = Counter((row.metric, row.mode) for row in finished)
    note = ""
    if metric is None:
        (metric, mode), count = monitors.most_common(1)[0] if monitors else (("val/map", "max"), 0)
        if len(monitors) > 1:
            note = (
                f"Ordered by {metric}, which {count} of {len(finished)} runs were monitored by; metric= names another."
            )
    else:
        known = dict.fromkeys(name for row in finished for name in row.scores)
        if finished and metric not in known:
            listed = ", ".join(known)
            raise UserError(f"No run has a score {metric!r}.{did_you_mean(metric, known)} There are {listed}.")
        modes = [mode for name, mode in monitors if name == metric]
        mode = modes[0] if modes else "min" if metric.endswith(LOWER_IS_BETTER) else "max"
    sign = -1 if mode == "max" else 1
    values = {id(row): sign * row.scores.get(metric, math.nan) for row in finished}
    ordered = sorted(finished, key=lambda row: (math.isnan(values[id(row)]), values[id(row)]))
    others = [row for row in rows if row.broken]
    settings = differing([row.config for row in ordered])
    return Leaderboard(metric, mode, ordered, others, settings, note, common_folder([row.folder.path for row in rows]))
