"""The one file with all jobs of a sweep: what is asked of it, and what any process may tell it at any moment."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from polytag.errors import UserError
from polytag.sweep.file_lock import FileLock
from polytag.sweep.heartbeat import Owner, is_alive
from polytag.sweep.identity import job_key
from polytag.sweep.job import CLAIM, FAILED, JOB, RESULT, RUNNING, Job, job_of
from polytag.sweep.known_trials import KnownTrials, waiting_trial
from polytag.sweep.optuna_options import build_pruner
from polytag.sweep.quiet_optuna import quiet_optuna
from polytag.sweep.settings import Settings
from polytag.sweep.storage import lock_of, open_storage

STUDY = "sweep"  # Hyperband's brackets depend on a study's name
SETTINGS = "settings"


class Ledger:
    """The jobs of a sweep in one Optuna study: a trial a job, and one more for each time that a failed one is reopened.

    Each change is made under one lock between all processes, because Optuna's SQLite storage looks at a trial and
    changes it in two steps, so that two processes may both take it (https://github.com/optuna/optuna/issues/4621).
    What a change consists of is written in an order that leaves it undone where its process dies on the way: the
    trial's state comes last.
    """

    def __init__(self, file: Path, lock: FileLock, storage: BaseStorage, settings: Settings) -> None:
        self.file = file
        self.settings = settings
        self._lock = lock
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(STUDY)
        pruner = build_pruner(settings.pruner, settings.pruner_options)
        self._study: Study = optuna.load_study(study_name=STUDY, storage=storage, pruner=pruner)
        self._known = KnownTrials(self._study, storage, self._study_id)

    @classmethod
    def create(cls, file: Path, settings: Settings) -> "Ledger":
        """Return the ledger in a file, made with these settings where it is missing.

        Args:
            file: `*.db`, SQLite, for the processes of one machine; or `*.journal`, for a shared file system.
            settings: Of the new ledger; one that is there keeps its own.
        """
        build_pruner(settings.pruner, settings.pruner_options)
        file = file.absolute()
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_of(file)
        with lock, quiet_optuna():
            storage = open_storage(file, lock)
            optuna.create_study(study_name=STUDY, storage=storage, directions=settings.directions, load_if_exists=True)
            study_id = storage.get_study_id_from_name(STUDY)
            if SETTINGS not in storage.get_study_user_attrs(study_id):
                storage.set_study_user_attr(study_id, SETTINGS, settings.as_dict())
        return cls.open(file)

    @classmethod
    def open(cls, file: Path) -> "Ledger":
        """Return the ledger in a file that is there."""
        file = file.absolute()
        if not file.is_file():
            raise UserError(f"There is no ledger of a sweep at {file}.")
        lock = lock_of(file)
        with lock, quiet_optuna():
            storage = open_storage(file, lock)
            try:
                content = storage.get_study_user_attrs(storage.get_study_id_from_name(STUDY))[SETTINGS]
            except KeyError as error:
                raise UserError(f"{file} holds no sweep; the command that began it makes it again.") from error
            return cls(file, lock, storage, Settings.of(content))

    def update(self, settings: Settings) -> None:
        """Take the settings of the command that goes on with the sweep; whether they fit is for it to say."""
        with self._lock:
            self._storage.set_study_user_attr(self._study_id, SETTINGS, settings.as_dict())
        self.settings = settings

    def jobs(self) -> list[Job]:
        """Return all jobs by their number."""
        jobs = [job_of(trial) for trial in self._study.get_trials(deepcopy=False)]
        newest = {job.number: job for job in jobs}
        return [newest[number] for number in sorted(newest)]

    def job(self, number: int) -> Job:
        """Return one job."""
        return job_of(self._storage.get_trial(self._known.id_of(number)))

    def add(
        self,
        overrides: Sequence[str],
        params: Mapping[str, Any] | None = None,
        distributions: Mapping[str, BaseDistribution] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Job:
        """Return a new pending job with the next number, or the job of the same key.

        Args:
            overrides: Of this job alone.
            params: What was drawn for it, by key.
            distributions: What that was drawn from; a job with them was sampled.
            system_attrs: What the sampler wants to find again.
            key: Told from the settings' and these overrides where it is not given.
        """
        key = key or job_key([*self.settings.overrides, *overrides])
        with self._lock:
            number = self._known.number_of(key)
            if number is not None:
                return self.job(number)
            content: dict[str, Any] = {
                "number": self._known.next_number,
                "key": key,
                "overrides": list(overrides),
                "params": dict(params or {}),
                "sampled": distributions is not None,
            }
            stored = self._known.alike(distributions or {})
            drawn = {name: content["params"][name] for name in stored}
            return job_of(self._create(waiting_trial({JOB: content}, drawn, stored, system_attrs or {})))

    def claim(self, number: int, owner: Owner, folder: Path | None = None) -> bool:
        """Take a job that is pending, or whose owner is dead; False where somebody else has it or it is finished.

        Args:
            number: The job's.
            owner: The process that will run it.
            folder: Where the job writes, and its heartbeat is; `<number>` beside the ledger if not given.
        """
        with self._lock:
            trial_id = self._known.id_of(number)
            trial = self._storage.get_trial(trial_id)
            job = job_of(trial)
            if job.is_finished or (job.state == RUNNING and self.is_alive(job)):
                return False
            claim = {"owner": owner.as_dict(), "attempts": job.attempts + 1, "started": time.time()}
            self._storage.set_trial_user_attr(trial_id, CLAIM, {**claim, "folder": self._relative(folder)})
            if trial.state == TrialState.WAITING:
                self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            return True

    def release(self, number: int) -> bool:
        """Make a running job pending again, as if this attempt had not been: its process was asked to go."""
        with self._lock:
            trial_id = self._known.id_of(number)
            trial = self._storage.get_trial(trial_id)
            job = job_of(trial)
            if job.state != RUNNING:
                return False
            claim = {**trial.user_attrs[CLAIM], "owner": None, "attempts": job.attempts - 1}
            self._storage.set_trial_user_attr(trial_id, CLAIM, claim)
            return True

    def is_alive(self, job: Job) -> bool:
        """Say whether the owner of a running job still works on it."""
        return job.owner is not None and is_alive(job.owner, self.file.parent / job.heartbeat_file)

    def report(self, number: int, step: int, value: float) -> bool:
        """Store the score of a step, in the place of an earlier one; False of a finished job, which stays as it is."""
        with self._lock:
            try:
                self._storage.set_trial_intermediate_value(self._known.id_of(number), int(step), float(value))
            except UpdateFinishedTrialError:
                return False
            return True

    def should_prune(self, number: int) -> bool:
        """Say whether the pruner would stop a job after its last report; never with several metrics."""
        if self.settings.pruner == "none" or len(self.settings.directions) > 1:
            return False
        with self._lock:  # Hyperband writes
            return self._study.pruner.prune(self._study, self._storage.get_trial(self._known.id_of(number)))

    def finish(self, number: int, values: Sequence[float], seconds: float) -> bool:
        """Make a job done; False where it was finished already, and stays as it was.

        NaN among the values says that the job refused what it was given. Optuna has no such trials: it becomes a failed
        one, as by Optuna's own `tell`, whose values are an attribute.
        """
        assert len(values) == len(self.settings.directions), f"{len(values)} values"
        numbers = [float(value) for value in values]
        if not any(math.isnan(value) for value in numbers):
            return self._end(number, TrialState.COMPLETE, {"seconds": seconds}, numbers)
        values_or_none = [None if math.isnan(value) else value for value in numbers]
        return self._end(number, TrialState.FAIL, {"seconds": seconds, "values": values_or_none})

    def prune(self, number: int, value: float, seconds: float) -> bool:
        """Make a job pruned, with its last or best score; False where it was finished already."""
        return self._end(number, TrialState.PRUNED, {"seconds": seconds}, None if math.isnan(value) else [float(value)])

    def fail(self, number: int, error: str, seconds: float | None = None) -> bool:
        """Make a job failed; the first line of the error is kept. False where it was finished already."""
        line = next((line for line in error.splitlines() if line.strip()), "")
        return self._end(number, TrialState.FAIL, {"seconds": seconds, "error": line})

    def reopen(self, number: int) -> bool:
        """Make a failed job pending, with no attempts but what it has reported; False of any other."""
        with self._lock:
            trial = self._storage.get_trial(self._known.id_of(number))
            if job_of(trial).state != FAILED:
                return False
            job = {JOB: trial.user_attrs[JOB]}
            again = waiting_trial(job, trial.params, trial.distributions, trial.system_attrs)
            again.intermediate_values = trial.intermediate_values
            self._create(again)
            return True

    def _end(
        self, number: int, state: TrialState, result: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        with self._lock:
            trial_id = self._known.id_of(number)
            try:
                self._storage.set_trial_user_attr(trial_id, RESULT, result)
                self._storage.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                return False
            return True

    def _create(self, template: FrozenTrial) -> FrozenTrial:
        trial = self._storage.get_trial(self._storage.create_new_trial(self._study_id, template))
        self._known.note(trial)
        return trial

    def _relative(self, folder: Path | None) -> str | None:
        """Return a folder such that the sweep's can be moved with it."""
        if folder is None:
            return None
        absolute = folder.absolute()
        return str(absolute.relative_to(self.file.parent) if self.file.parent in absolute.parents else absolute)
