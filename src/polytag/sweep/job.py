"""A job of a sweep as plain data, and as the Optuna trial that the ledger stores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from polytag.sweep.heartbeat import HEARTBEAT_FILE, Owner

PENDING, RUNNING, DONE, FAILED, PRUNED = "pending", "running", "done", "failed", "pruned"
STATES = {
    TrialState.WAITING: PENDING,
    TrialState.RUNNING: RUNNING,
    TrialState.COMPLETE: DONE,
    TrialState.FAIL: FAILED,
    TrialState.PRUNED: PRUNED,
}
# What a trial's user attributes are called.
JOB, CLAIM, RESULT = "job", "claim", "result"


@dataclass(frozen=True)
class Job:
    """One job of a sweep, as the ledger has it at a moment.

    Attributes:
        number: Its number in the sweep, from 0, without gaps; it stays.
        key: What tells it from the other jobs, see `identity.job_key`.
        overrides: Its own overrides, without those of all jobs.
        state: One of pending, running, done, failed, pruned.
        values: One score a metric of a done job, NaN where it was refused; the last score of a pruned one.
        intermediate: The score of each step that it reported, in this or an earlier attempt.
        params: What was drawn for it, by key: the text of a choice, or a number.
        sampled: Whether a sampler drew it; a grid's jobs are listed.
        attempts: How often it was started.
        owner: The process that has it or had it; None of one that is pending.
        started: When the last attempt started, in seconds since 1970.
        seconds: How long the last attempt took.
        error: First line of what went wrong.
        folder: Of the last attempt, relative to the ledger's folder where it lies in there.
        system_attrs: What a sampler remembers with it.
    """

    number: int
    key: str
    overrides: tuple[str, ...]
    state: str
    values: tuple[float, ...] | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    sampled: bool = False
    attempts: int = 0
    owner: Owner | None = None
    started: float | None = None
    seconds: float | None = None
    error: str | None = None
    folder: str | None = None
    system_attrs: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will change it, unless a failed one is opened again."""
        return self.state in (DONE, FAILED, PRUNED)

    @property
    def heartbeat_file(self) -> Path:
        """The file that its owner touches, relative to the ledger's folder."""
        return Path(self.folder or str(self.number)) / HEARTBEAT_FILE


def job_of(trial: FrozenTrial) -> Job:
    """Return the job that a trial stores."""
    job = trial.user_attrs[JOB]
    claim = trial.user_attrs.get(CLAIM, {}) if trial.state != TrialState.WAITING else {}
    result = trial.user_attrs.get(RESULT, {}) if trial.state.is_finished() else {}
    refused = "values" in result  # NaN among them: see `Ledger.finish`
    owner = Owner.of(claim.get("owner"))
    released = trial.state == TrialState.RUNNING and owner is None
    return Job(
        number=job["number"],
        key=job["key"],
        overrides=tuple(job["overrides"]),
        state=PENDING if released else DONE if refused else STATES[trial.state],
        values=_values(result["values"] if refused else trial.values),
        intermediate=dict(sorted(trial.intermediate_values.items())),
        params=job["params"],
        sampled=job["sampled"],
        attempts=claim.get("attempts", 0),
        owner=owner,
        started=claim.get("started"),
        seconds=result.get("seconds"),
        error=result.get("error"),
        folder=claim.get("folder"),
        system_attrs=trial.system_attrs,
    )


def _values(values: Sequence[float | None] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(math.nan if value is None else float(value) for value in values)
