"""Which of a ledger's trials is which job, without reading them all again each time."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from polytag.sweep.job import JOB


class KnownTrials:
    """The trials of a study that were seen so far; each question looks for new ones first."""

    def __init__(self, study: Study, storage: BaseStorage, study_id: int) -> None:
        self._study = study
        self._storage = storage
        self._study_id = study_id
        self._count = 0
        self._ids: dict[int, int] = {}  # by the job's number; a later trial of it takes the place of an earlier
        self._numbers: dict[str, int] = {}  # by the job's key
        self._distributions: dict[str, BaseDistribution] = {}

    def id_of(self, number: int) -> int:
        """Return the storage's id of a job's last trial."""
        self._look()
        return self._ids[number]

    def number_of(self, key: str) -> int | None:
        """Return the number of the job with a key; None where there is none."""
        self._look()
        return self._numbers.get(key)

    @property
    def next_number(self) -> int:
        """The number of the next new job."""
        return len(self._numbers)

    def note(self, trial: FrozenTrial) -> None:
        """Know one more trial, the first after those that are known."""
        assert trial.number == self._count
        job = trial.user_attrs[JOB]
        self._count += 1
        self._ids[job["number"]] = trial._trial_id  # a storage has no other way to ask for many
        self._numbers[job["key"]] = job["number"]
        for name, distribution in trial.distributions.items():
            self._distributions.setdefault(name, distribution)

    def alike(self, distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
        """Return those that Optuna would not refuse beside the earlier ones; `Job.params` has all of them anyway."""
        alike = {}
        for name, distribution in distributions.items():
            try:
                check_distribution_compatibility(self._distributions.get(name, distribution), distribution)
            except ValueError:
                continue
            alike[name] = distribution
        return alike

    def _look(self) -> None:
        """Note the trials that other processes have added; asking for the next one is quicker than reading them all."""
        try:
            self._storage.get_trial_id_from_study_id_trial_number(self._study_id, self._count)
        except KeyError:
            return
        for trial in self._study.get_trials(deepcopy=False)[self._count :]:
            self.note(trial)


def waiting_trial(
    user_attrs: Mapping[str, Any],
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    system_attrs: Mapping[str, Any],
) -> FrozenTrial:
    """Return what the storage makes one trial from, in one transaction; it gives the two numbers itself."""
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.WAITING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs=dict(user_attrs),
        system_attrs=dict(system_attrs),
        intermediate_values={},
    )
