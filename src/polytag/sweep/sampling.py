"""What a sampler tries next: a function of the sweep's seed, the job's number, and the jobs so far.

For each suggestion, a study in memory is made from the ledger's jobs and asked. Nothing else is remembered, so a sweep
that goes on in another process, or after another command has added jobs, is the same sweep.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from polytag.errors import UserError
from polytag.sweep.identity import job_key
from polytag.sweep.job import DONE, FAILED, PRUNED, Job
from polytag.sweep.ledger import Ledger
from polytag.sweep.optuna_options import build_sampler
from polytag.sweep.quiet_optuna import quiet_optuna
from polytag.sweep.settings import Settings
from polytag.sweep.space import Choices, Dimension, Interval, Space, Steps, grid

TRIES = 40  # draws until one is new, half of them at random; then a discrete space is listed
WHEN = datetime(2000, 1, 1)  # Optuna wants a time of each trial; no sampler looks at it


class Suggestion(NamedTuple):
    """What `Ledger.add` takes."""

    overrides: tuple[str, ...]
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    system_attrs: Mapping[str, Any]


def suggest(ledger: Ledger, space: Space) -> Suggestion | None:
    """Return a job that is not in the ledger; None where a discrete space has no other."""
    settings, jobs = ledger.settings, ledger.jobs()
    if space.jobs != ((),):
        raise UserError("sweep.jobs is a list of jobs, which leaves nothing to a sampler: use sweep.params.")
    known = {job.key for job in jobs}
    study = mirror(jobs, space, settings)
    for attempt in range(TRIES):
        if attempt == TRIES // 2:  # it wants the same again and again
            study.sampler = build_sampler("random", {}, _seed(settings, len(jobs)))
        with quiet_optuna():
            suggestion = _draw(study, space)
        if _key(settings, suggestion.overrides) not in known:
            return suggestion
    return _unseen(space, settings, known, len(jobs)) if space.is_discrete else None


def mirror(jobs: Sequence[Job], space: Space, settings: Settings) -> Study:
    """Return a study in memory that holds the jobs, with a sampler whose seed is that of the next job."""
    sampler = build_sampler(settings.sampler, settings.sampler_options, _seed(settings, len(jobs)))
    if settings.sampler == "cma_es" and len(settings.directions) > 1:
        raise UserError("sweep.sampler=cma_es has one objective: use tpe or random for several.")
    with quiet_optuna():
        study = optuna.create_study(directions=settings.directions, sampler=sampler)
        study.add_trials([_trial(job, space) for job in jobs])
    return study


def _seed(settings: Settings, number: int) -> int:
    """Return the seed of a job's sampler; jobs of neighbouring seeds or numbers have nothing in common."""
    return int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0])


def _trial(job: Job, space: Space) -> FrozenTrial:
    """Return what a sampler shall see of a job: those without scores yet as running, refused values as the worst."""
    active = [(dimension, job.params[dimension.key]) for dimension in _active(space, job.params)]
    drawn = {dimension.name: (param, distribution_of(dimension)) for dimension, param in active}
    state, values = _outcome(job)
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=state,
        value=None,
        values=values,
        datetime_start=WHEN,
        datetime_complete=WHEN if state.is_finished() else None,
        params={name: param for name, (param, _) in drawn.items()},
        distributions={name: distribution for name, (_, distribution) in drawn.items()},
        user_attrs={"number": job.number},
        system_attrs=dict(job.system_attrs),
        intermediate_values=dict(job.intermediate),
    )


def _outcome(job: Job) -> tuple[TrialState, list[float] | None]:
    if job.state == FAILED:
        return TrialState.FAIL, None  # says nothing of the values: samplers leave it out
    refused = job.values is not None and bool(np.isnan(job.values).any())
    if job.state == PRUNED or refused:
        return TrialState.PRUNED, None if refused or job.values is None else list(job.values)
    if job.state == DONE:
        assert job.values is not None
        return TrialState.COMPLETE, list(job.values)
    return TrialState.RUNNING, None


def _active(space: Space, params: Mapping[str, Any]) -> list[Dimension]:
    """Return the dimensions that hold the parameters of a job; it may come from a grid or another space."""
    texts: dict[str, str] = {}
    active = []
    for dimension in space.dimensions:
        if dimension.key in params and dimension.is_active(texts) and dimension.values.holds(params[dimension.key]):
            texts[dimension.key] = dimension.values.text(params[dimension.key])
            active.append(dimension)
    return active


def _draw(study: Study, space: Space) -> Suggestion:
    trial = study.ask()
    texts: dict[str, str] = {}
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for dimension in space.dimensions:
        if dimension.is_active(texts):
            distribution = distribution_of(dimension)
            param = _drawn(trial, dimension, distribution)
            texts[dimension.key] = dimension.values.text(param)
            params[dimension.key], distributions[dimension.key] = param, distribution
    overrides = tuple(f"{key}={text}" for key, text in texts.items())
    return Suggestion(overrides, params, distributions, study.get_trials(deepcopy=False)[trial.number].system_attrs)


def _drawn(trial: Trial, dimension: Dimension, distribution: BaseDistribution) -> Any:
    name, values = dimension.name, dimension.values
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high, step, log = distribution.low, distribution.high, distribution.step, distribution.log
        return trial.suggest_int(name, low, high, step=step, log=log)
    assert isinstance(distribution, FloatDistribution)
    number = trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    return values.nearest(number) if isinstance(values, Steps) else number


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's name for what a dimension may be."""
    values = dimension.values
    if isinstance(values, Choices):
        return CategoricalDistribution(values.texts)
    if isinstance(values, Interval):
        if values.is_integer:
            return IntDistribution(int(values.low), int(values.high), log=values.log)
        return FloatDistribution(values.low, values.high, log=values.log)
    numbers = sorted(values.numbers)
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    if isinstance(numbers[0], int):
        return IntDistribution(numbers[0], int(numbers[-1]), step=int(step))
    # Optuna's own steps would have to add up to the last digit. With half a step more at both ends, the number next to
    # what is drawn is any of them with the same probability.
    return FloatDistribution(numbers[0] - step / 2, numbers[-1] + step / 2)


def _unseen(space: Space, settings: Settings, known: set[str], number: int) -> Suggestion | None:
    """Return a point of a discrete space that is in no job, any of them alike."""
    unseen = [point for point in grid(space) if _key(settings, point.overrides) not in known]
    if not unseen:
        return None
    point = Random(f"{settings.seed} {number}").choice(unseen)
    distributions = {dimension.key: distribution_of(dimension) for dimension in _active(space, point.params)}
    return Suggestion(point.overrides, point.params, distributions, {})


def _key(settings: Settings, overrides: Sequence[str]) -> str:
    return job_key([*settings.overrides, *overrides])
