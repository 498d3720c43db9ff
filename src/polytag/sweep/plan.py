"""The plan of a sweep: every job is looked at, and how long all will take is said, before the first one starts."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, open_dict
from rich.console import Console

from polytag.commands import conf_dir, user_error_in
from polytag.composition import CompositionError, describe_mistake
from polytag.errors import UserError
from polytag.run_folder import plain_values
from polytag.sweep.check import JobCheck, quiet
from polytag.sweep.composing import HERE, Composer, launcher_name
from polytag.sweep.identity import job_key
from polytag.sweep.job import DONE, PRUNED, Job
from polytag.sweep.options import SweepOptions
from polytag.sweep.space import Dimension, Interval, Space
from polytag.tracking.console import duration

if TYPE_CHECKING:
    from polytag.schedule.recipe import Recipe

MEASURED = 6  # kinds of jobs whose time is measured; the others are taken to need as long


def check_plan(
    composer: Composer,
    options: SweepOptions,
    space: Space,
    common: Sequence[str],
    listed: Sequence[Sequence[str]],
    known: Sequence[Job],
    measures: bool,
) -> None:
    """Refuse a sweep of which a job would fail at its start; print what will be run.

    Args:
        composer: Composes the jobs.
        options: Of the sweep.
        space: What is varied.
        common: Overrides of all jobs.
        listed: The overrides of each job of a grid; empty in a search.
        known: What the ledger has already.
        measures: Whether to measure some steps even where earlier jobs tell the time.

    Raises:
        UserError: A job, and what is wrong with it.
    """
    over = {job.key for job in known if job.state in (DONE, PRUNED)}
    searched = [] if listed else [(*common, *overrides) for overrides in probes(space)]
    waiting = [overrides for overrides in listed or searched if job_key(overrides) not in over]
    checked = list(_checked(composer, options, common, waiting))
    total = len({job.key for job in known} | {job_key(overrides) for overrides in listed}) if listed else options.trials
    assert total is not None
    left = total - len(over)
    epochs = sorted({recipe.epochs for _, recipe in checked})
    parts = [f"Sweep {options.name}: {total} job{'s' * (total != 1)}"]
    if over:
        parts.append(f"{len(over)} of them done")
    if epochs:
        span = f"{epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else str(epochs[0])
        parts.append(f"{span} epoch{'s' * (span != '1')} each")
    if left and options.estimate:
        parts.append(_time(composer, checked, known, left, measures))
    Console().print(", ".join(parts) + f". Folder: {composer.config.hydra.sweep.dir}", highlight=False, soft_wrap=True)


def probes(space: Space) -> Iterator[tuple[str, ...]]:
    """Yield a job for each choice and both ends of each interval of a search, the other keys at their first values."""
    seen: set[tuple[str, ...]] = set()
    for dimension in space.dimensions:
        for param in _extremes(dimension):
            forced = {key: accepted[0] for key, accepted in dimension.when}
            forced[dimension.key] = dimension.values.text(param)
            overrides = _point(space, forced)
            if overrides not in seen:
                seen.add(overrides)
                yield overrides


def _extremes(dimension: Dimension) -> tuple[Any, ...]:
    values = dimension.values
    return (values.low, values.high) if isinstance(values, Interval) else values.params()


def _point(space: Space, forced: dict[str, str]) -> tuple[str, ...]:
    texts: dict[str, str] = {}
    for dimension in space.dimensions:
        if dimension.is_active(texts):
            texts[dimension.key] = forced.get(dimension.key, dimension.values.text(_extremes(dimension)[0]))
    return tuple(f"{key}={text}" for key, text in texts.items())


def _checked(
    composer: Composer, options: SweepOptions, common: Sequence[str], jobs: Sequence[Sequence[str]]
) -> "Iterator[tuple[DictConfig, Recipe]]":
    """Yield config and recipe of each job."""
    check = JobCheck()
    for number, overrides in enumerate(jobs):
        own = " ".join(text for text in overrides if text not in common) or "its overrides"
        try:
            config = composer.config_of(overrides, number)
            with open_dict(config):
                del config["hydra"]
            recipe = check.check(config)
            if composer.runs_here:
                refuse_subprocesses(config)
            yield config, recipe
        except CompositionError as error:
            mistake = describe_mistake(error, str(conf_dir()), "train", overrides)
            raise UserError(f"No job is started, because one would fail, with {own}: {mistake}") from error
        except Exception as error:  # a user's mistake may come wrapped in any library's exception
            found = user_error_in(error)
            if found is None:
                raise
            if options.refusals is None or not str(found).startswith(f"{options.refusals}."):
                raise UserError(f"No job is started, because one would fail, with {own}: {found}") from error


def refuse_subprocesses(config: DictConfig) -> None:
    """Refuse a strategy that starts the other ranks by calling the command again: each would be a sweep of its own.

    Under a search each rank would even get other hyperparameters, without any error.

    Raises:
        UserError: What to choose.
    """
    strategy, devices = str(config.trainer.strategy), config.trainer.devices
    if devices in (1, "1") or any(word in strategy for word in ("fork", "spawn", "notebook")) or strategy == "auto":
        return
    raise UserError(
        f"trainer.strategy={strategy} starts its other ranks by calling `train -m` again, each a sweep of its own: add "
        "launcher=processes hydra.launcher.jobs=1 or launcher=slurm, or choose trainer=ddp_fork."
    )


def _time(
    composer: Composer, checked: "Sequence[tuple[DictConfig, Recipe]]", known: Sequence[Job], left: int, measures: bool
) -> str:
    """Return about how long the jobs that are left will take."""
    past = [job.seconds for job in known if job.state == DONE and job.seconds is not None]
    if past and not measures:
        return f"about {duration(left * sum(past) / len(past))} of training are left, by those that are done"
    if launcher_name(composer.config) not in HERE:
        return "time unknown: the jobs run elsewhere"
    kinds = [json.dumps(_kind(config, recipe), sort_keys=True, default=str) for config, recipe in checked]
    seconds: dict[str, float] = {}
    for kind, (config, _) in zip(kinds, checked, strict=True):
        if kind not in seconds and len(seconds) < MEASURED:
            seconds[kind] = _measured(config)
    mean = sum(seconds.values()) / len(seconds)
    spent = [seconds.get(kind, mean) for kind in kinds]
    return f"about {duration(left * sum(spent) / len(spent))} of training"


def _kind(config: DictConfig, recipe: "Recipe") -> Any:
    """Return what the time of a job depends on."""
    phases = [(phase.image_size, sorted(phase.frozen), phase.epochs, phase.batch_size) for phase in recipe.phases]
    nodes = [plain_values(config[name]) for name in ("model", "data", "trainer")]
    return [phases, nodes]


def _measured(config: DictConfig) -> float:
    """Return the seconds that a job takes, from some steps of each of its phases; no weights are loaded for that."""
    from tempfile import TemporaryDirectory

    from polytag import build
    from polytag.settle import measured

    with TemporaryDirectory() as place, quiet():
        config.paths.output = place
        config.model.weights = "none"
        costs = measured(config, build.build_table(config.data), Path(place), [{}], rounds=1)[0]
        return float(sum(cost.seconds for cost in costs))
