"""What a sweep leaves behind besides its jobs: its table, and the best job as an experiment."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from polytag import build
from polytag.run_folder import csv_text, write_atomically
from polytag.sweep.best import write_best
from polytag.sweep.composing import Composer
from polytag.sweep.job import Job
from polytag.sweep.ledger import Ledger
from polytag.sweep.options import Objective, SweepOptions
from polytag.sweep.plots import write_plots
from polytag.sweep.progress import best_job, own_overrides
from polytag.sweep.space_syntax import read_space

TABLE_FILE, BEST_FILE, PLOTS = "sweep.csv", "best.yaml", "plots"
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
        _draw(folder, jobs, options, composer)
    for node in options.after:
        build.build(node, folder=folder)


def _draw(folder: Path, jobs: Sequence[Job], options: SweepOptions, composer: Composer) -> None:
    settings = Ledger.open(options.ledger_file(folder)).settings
    loader = composer.context.config_loader
    varied = (options.params, options.conditions, options.jobs)
    _, space = read_space(settings.arguments, *varied, config_loader=loader)
    left_out = write_plots(folder / PLOTS, jobs, options.objectives, space, settings)
    if left_out is not None and settings.trials is not None:
        Console().print(left_out, highlight=False, soft_wrap=True)


def _cell(value: float | None, digits: int | None = None) -> str:
    if value is None or math.isnan(value):
        return ""
    return repr(value) if digits is None else f"{value:.{digits}f}"
