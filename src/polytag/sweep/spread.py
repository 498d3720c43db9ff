"""How far scores lie apart between runs that differ in their seed or their fold alone: `sweep=seeds`, `sweep=folds`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev

from rich.box import SIMPLE_HEAD
from rich.table import Table

from polytag.run_folder import RunFolder, csv_text, write_atomically
from polytag.sweep.job import Job
from polytag.sweep.ledger import Ledger
from polytag.sweep.options import STORAGES
from polytag.sweep.override_text import parse_override
from polytag.tracking.console import INTERVAL, wide_console

CSV_FILE = "spread.csv"
OVER = ("seed", "data.fold")
SPLITS = ("val", "test")
LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """One score over several runs.

    Attributes:
        group: What else the runs were told, where the sweep varies more than seeds or folds.
        score: Its full name.
        jobs: How many runs have it.
        mean: Over the runs.
        deviation: Sample standard deviation; None of a single run.
        low: Where the 95 % interval of the mean starts, by Student's t.
        high: Where it ends.
        lowest: Of the runs.
        highest: Of the runs.
    """

    group: str
    score: str
    jobs: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    lowest: float
    highest: float


def write_spread(folder: Path) -> None:
    """Print the mean of each score with its spread over the jobs of a sweep, and write it into the sweep's folder.

    Args:
        folder: Of the sweep, with its ledger.
    """
    file = next(folder / name for name in STORAGES.values() if (folder / name).exists())
    jobs, console = Ledger.open(file).jobs(), wide_console()
    spreads: list[Spread] = []
    for group, members in groups_of(jobs).items():
        finished = [run for job in members if (run := RunFolder(folder / (job.folder or str(job.number)))).is_finished]
        found = spreads_of(group, [scores_of(run) for run in finished])
        where = f"{group}: " if group else ""
        title = f"{where}{len(finished)} of {len(members)} jobs"
        if found:
            console.print(_table(found, title))
        else:
            console.print(f"{title} finished: no spread.", highlight=False)
        spreads += found
    cells = [["" if value is None else str(value) for value in astuple(one)] for one in spreads]
    write_atomically(folder / CSV_FILE, csv_text([field.name for field in fields(Spread)], cells))
    console.print(f"Written to {folder / CSV_FILE}", highlight=False, soft_wrap=True)


def groups_of(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the jobs that differ in seed and fold alone, by the overrides that tell them from the others."""
    told = [[text for text in job.overrides if parse_override(text).get_key_element() not in OVER] for job in jobs]
    groups: dict[str, list[Job]] = {}
    for job, texts in zip(jobs, told, strict=True):
        own = " ".join(text for text in texts if any(text not in other for other in told))
        groups.setdefault(own, []).append(job)
    return groups


def scores_of(run: RunFolder) -> dict[str, float]:
    """Return the scores of a run by their full names, undefined ones left out."""
    summary = run.read_summary()
    scores: dict[str, float | None] = {}
    for split in SPLITS:
        scores |= summary.get(split, {})
    monitored = summary["monitor"]
    if monitored["metric"] not in scores:  # by which sweeps go
        scores = {monitored["metric"]: monitored["best"], **scores}
    return {name: float(value) for name, value in scores.items() if value is not None}


def spreads_of(group: str, runs: Sequence[Mapping[str, float]]) -> list[Spread]:
    """Return the spread of each score, in the order in which the runs have them."""
    names = dict.fromkeys(name for run in runs for name in run)
    return [spread(group, name, [run[name] for run in runs if name in run]) for name in names]


def spread(group: str, name: str, values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and interval of one score."""
    from scipy.stats import t

    mean, count = fmean(values), len(values)
    ends = (min(values), max(values))
    if count < 2:
        return Spread(group, name, count, mean, None, None, None, *ends)
    deviation = stdev(values)
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / math.sqrt(count)
    return Spread(group, name, count, mean, deviation, mean - half, mean + half, *ends)


def _table(spreads: Sequence[Spread], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("score", no_wrap=True)
    uneven = len({one.jobs for one in spreads}) > 1
    for name in (*(["jobs"] if uneven else []), "mean", "standard\ndeviation", INTERVAL, "lowest", "highest"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in spreads:
        interval = "-" if one.low is None else f"{one.low:.4f} to {one.high:.4f}"
        deviation = "-" if one.deviation is None else f"{one.deviation:.4f}"
        count = [str(one.jobs)] if uneven else []
        table.add_row(
            one.score, *count, f"{one.mean:.4f}", deviation, interval, f"{one.lowest:.4f}", f"{one.highest:.4f}"
        )
    return table
