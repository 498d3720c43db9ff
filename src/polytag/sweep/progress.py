"""What is seen of a sweep while it runs, and its table: live in a terminal, a line for each change elsewhere."""

import math
import time
from collections.abc import Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from polytag.sweep.job import DONE, FAILED, PENDING, PRUNED, RUNNING, Job
from polytag.sweep.options import Objective
from polytag.tracking.console import duration

SHOWN = 10  # jobs in the live table beside those that run
LISTED = 40  # jobs in the last table; of more, the best and all that failed
STATES = (DONE, RUNNING, PENDING, PRUNED, FAILED)


class Progress:
    """Shows the jobs of a sweep, as a context.

    Args:
        console: Where to; not what the jobs print to.
        objective: What is best.
        total: How many jobs there will be.
        hint: What Ctrl-C does.
    """

    def __init__(self, console: Console, objective: Objective, total: int, hint: str) -> None:
        self.console, self.objective, self.total, self.hint = console, objective, total, hint
        self._seen: dict[int, tuple[str, int]] | None = None
        # What jobs print goes to their files: the table must not take it over.
        self._live = (
            Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, jobs: Sequence[Job], common: Sequence[str]) -> None:
        """Show what has changed.

        Args:
            jobs: As the ledger has them now.
            common: Overrides that need not be shown, because all jobs have them.
        """
        now = {job.number: (job.state, job.attempts) for job in jobs}
        before, self._seen = now if self._seen is None else self._seen, now
        for job in jobs:
            if before.get(job.number) != now[job.number] and job.state != PENDING:
                self.console.print(self._line(job, jobs, common), highlight=False, soft_wrap=True)
        if self._live is not None:
            self._live.update(self._picture(jobs, common), refresh=True)

    def _line(self, job: Job, jobs: Sequence[Job], common: Sequence[str]) -> Text:
        finished = sum(one.is_finished for one in jobs)
        parts = [f"[{finished}/{self.total}] job {job.number} {job.state}"]
        if job.state == RUNNING and job.attempts > 1:
            parts.append(f"attempt {job.attempts}")
        if job.values is not None:
            parts.append(f"{self.objective.metric} {score_text(job)}")
        if job.is_finished and job.seconds is not None:
            parts.append(f"in {duration(job.seconds)}")
        if (best := best_job(jobs, self.objective)) is not None and job.is_finished:
            parts.append(f"best {score_text(best)} of job {best.number}")
        parts.append(job.error if job.state == FAILED and job.error else " ".join(own_overrides(job, common)))
        return Text("  ".join(part for part in parts if part))

    def _picture(self, jobs: Sequence[Job], common: Sequence[str]) -> Group:
        """Return the live table: the jobs that run, then the best."""
        best = ranked(jobs, self.objective)[:SHOWN]
        running = [job for job in jobs if job.state == RUNNING]
        table = job_table([*running, *best], self.objective, common, f"{self.total} jobs: {counted(jobs)}")
        return Group(table, Text(self.hint, style="dim"))


def print_jobs(console: Console, jobs: Sequence[Job], objectives: Sequence[Objective], common: Sequence[str]) -> None:
    """Print the last table, the best first, and what went wrong."""
    leading = objectives[0]
    order = ranked(jobs, leading)
    others = [job for job in jobs if job not in order]
    listed = [*order[: max(0, LISTED - len(others))], *others]
    title = f"{len(jobs)} jobs: {counted(jobs)}"
    console.print(job_table(listed, leading, common, title, [one.metric for one in objectives[1:]]))
    if hidden := len(jobs) - len(listed):
        console.print(f"{hidden} more in sweep.csv.")


def counted(jobs: Sequence[Job]) -> str:
    """Return how many jobs have which state."""
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def job_table(
    jobs: Sequence[Job],
    objective: Objective,
    common: Sequence[str],
    title: str,
    more_metrics: Sequence[str] = (),
) -> Table:
    """Return one row a job."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for name in ("job", "state", objective.metric, *more_metrics, "time"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    table.add_column("overrides", overflow="fold")
    for job in jobs:
        scores = [score_text(job, place) for place in range(1 + len(more_metrics))]
        seconds = job.seconds if job.seconds is not None else _running_seconds(job)
        spent = "-" if seconds is None else duration(seconds)
        table.add_row(str(job.number), job.state, *scores, spent, Text(" ".join(own_overrides(job, common))))
    return table


def own_overrides(job: Job, common: Sequence[str]) -> list[str]:
    """Return the overrides of a job that not all jobs have."""
    return [text for text in job.overrides if text not in common]


def score_text(job: Job, place: int = 0) -> str:
    """Return a job's score, the last reported one of a job that runs; a dash where there is none."""
    score = math.nan
    if job.values is not None:
        score = job.values[place] if place < len(job.values) else math.nan
    elif place == 0 and job.intermediate:
        score = list(job.intermediate.values())[-1]
    return "-" if math.isnan(score) else f"{score:.4f}"


def ranked(jobs: Sequence[Job], objective: Objective) -> list[Job]:
    """Return the jobs that are done and have a score, the best first."""
    scored = [
        (job.values[0], job) for job in jobs if job.state == DONE and job.values and not math.isnan(job.values[0])
    ]
    scored.sort(key=lambda pair: pair[0], reverse=objective.mode == "max")
    return [job for _, job in scored]


def best_job(jobs: Sequence[Job], objective: Objective) -> Job | None:
    """Return the best job that is done, the first of equals; None where there is none."""
    return next(iter(ranked(jobs, objective)), None)


def _running_seconds(job: Job) -> float | None:
    return time.time() - job.started if job.state == RUNNING and job.started is not None else None
