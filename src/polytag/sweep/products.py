"""What a sweep leaves behind besides its jobs: its table, and the best job as an experiment."""

import math
from collections.abc import Sequence
from pathlib import Path

from polytag import build
from polytag.run_folder import csv_text, write_atomically
from polytag.sweep.best import write_best
from polytag.sweep.composing import Composer
from polytag.sweep.job import Job
from polytag.sweep.options import Objective, SweepOptions
from polytag.sweep.progress import best_job, own_overrides

TABLE_FILE, BEST_FILE = "sweep.csv", "best.yaml"
COLUMNS = ("job", "state", "score", "seconds", "overrides")


def write_table(folder: Path, jobs: Sequence[Job], objectives: Sequence[Objective], common: Sequence[str]) -> None:
    """Write `sweep.csv`: one row a job; of several objectives the others have columns behind."""
    more = [one.metric for one in objectives[1:]]
    rows = []
    for job in jobs:
        first, *others = job.values or (None,) * len(objectives)
        cells = [str(job.number), job.state, _cell(first), _cell(job.seconds, 1), " ".join(own_overrides(job, common))]
        rows.append([*cells, *map(_cell, others)])
    write_atomically(folder / TABLE_FILE, csv_text([*COLUMNS, *more], rows))


def write_products(
    folder: Path, jobs: Sequence[Job], options: SweepOptions, composer: Composer, common: Sequence[str]
) -> None:
    """Write what can only be written at the end, and call what the sweep's file wants to be called."""
    write_table(folder, jobs, options.objectives, common)
    best = best_job(jobs, options.objectives[0])
    if best is not None:
        write_best(folder / BEST_FILE, best, composer, folder)
    for node in options.after:
        build.build(node, folder=folder)


def _cell(value: float | None, digits: int | None = None) -> str:
    if value is None or math.isnan(value):
        return ""
    return repr(value) if digits is None else f"{value:.{digits}f}"
