"""`train -m`: from a command line to jobs in a ledger, their runs, and what is made of them at the end."""

import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from polytag.errors import UserError
from polytag.sweep.capture import console_of_sweep
from polytag.sweep.composing import HERE, Composer, given_config_dir, launcher_name
from polytag.sweep.driver import Driver
from polytag.sweep.identity import is_ignored, job_key
from polytag.sweep.job import FAILED, PENDING, Job
from polytag.sweep.ledger import Ledger
from polytag.sweep.options import SweepOptions
from polytag.sweep.optuna_options import build_pruner, build_sampler
from polytag.sweep.override_text import override_text
from polytag.sweep.plan import check_plan
from polytag.sweep.products import write_products, write_table
from polytag.sweep.progress import Progress, print_jobs
from polytag.sweep.sampling import suggest
from polytag.sweep.settings import Settings
from polytag.sweep.space import Space, grid
from polytag.sweep.space_syntax import read_space

log = logging.getLogger(__name__)

STOPS = "Ctrl-C stops after the running batch; the same command goes on."
LEAVES = "Ctrl-C leaves the jobs to the cluster; the same command goes on."
GO_ON = "The same command goes on."
LEFT = "The submitted jobs go on. `scancel --name={}` ends them; the same command goes on with the sweep."


def run_sweep(arguments: Sequence[str], config: DictConfig, context: HydraContext, launcher: Launcher) -> None:
    """Run a sweep, or go on with it.

    Args:
        arguments: The command line's overrides.
        config: Of the sweep.
        context: Hydra's.
        launcher: Runs jobs.

    Raises:
        UserError: Something is wrong that would cost jobs later.
        SystemExit: A job has failed (1), or was stopped and waits for the same command (130).
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    logging.getLogger(BasicLauncher.__module__).setLevel(logging.WARNING)  # its lines would stand between ours
    options, folder = SweepOptions.of(config), Path(config.hydra.sweep.dir).absolute()
    common, space = read_space(
        arguments, options.params, options.conditions, options.jobs, config_loader=context.config_loader
    )
    is_local = launcher_name(config) in HERE
    file, kept = options.ledger_file(folder, is_local), tuple(text for text in common if not is_ignored(text))
    settings = settings_of(options, kept, [*arguments, *_of_hydra(config)], space)
    before = Ledger.open(file) if file.exists() else None
    if before is not None:
        refuse_other_sweep(before.settings, settings, options.name)
    composer = Composer(context, config, common, file)
    points = [] if settings.trials else list(grid(space))
    listed = [(*kept, *point.overrides) for point in points]
    known = [] if before is None else before.jobs()
    if hasattr(launcher, "check"):
        launcher.check()
    check_plan(composer, options, space, kept, listed, known, config.dry_run)
    if config.dry_run:
        return
    ledger = Ledger.create(file, settings)
    ledger.update(settings)
    OmegaConf.save(config, folder / "multirun.yaml")  # as Hydra's own sweeper does
    for point, overrides in zip(points, listed, strict=True):
        ledger.add(overrides, point.params, key=job_key(overrides))
    for job in ledger.jobs():
        if options.retry_failed and job.state == FAILED:
            ledger.reopen(job.number)
    jobs = drive(ledger, space, options, composer, launcher)
    finish(jobs, options, composer, folder)


def _of_hydra(config: DictConfig) -> list[str]:
    """Return the command line's overrides of Hydra's own settings, such as the launcher's; `--config-dir` as one."""
    given = [text for text in config.hydra.overrides.hydra if not text.startswith("hydra.mode=")]
    place = given_config_dir(config)
    return given if place is None else [*given, f"hydra.searchpath={override_text([f'file://{place}'])}"]


def settings_of(options: SweepOptions, kept: tuple[str, ...], arguments: Sequence[str], space: Space) -> Settings:
    """Return what the ledger is to know of this command.

    Raises:
        UserError: A search without an end, or a grid of what cannot be listed.
    """
    searches = options.is_search or not space.is_discrete
    if searches and not space.dimensions:
        raise UserError(
            f"sweep.trials={options.trials} asks for a search, and nothing is varied: give a key several values, "
            "such as recipe.lr=interval(1e-4,1e-2), or take out sweep.trials and sweep.sampler."
        )
    if searches and options.trials is None:
        raise UserError("The values of an interval cannot all be tried: how many jobs? Add sweep.trials=20.")
    if searches and options.sampler == "grid":
        raise UserError("sweep.sampler=grid cannot list the values of an interval: use choice(...) or range(...).")
    build_pruner(options.pruner, options.pruner_options)
    if searches:
        build_sampler(options.sampler_name, options.sampler_options, options.seed)
    return Settings(
        directions=tuple(one.direction for one in options.objectives),
        metrics=tuple(one.metric for one in options.objectives),
        overrides=kept,
        seed=options.seed,
        sampler=options.sampler_name,
        sampler_options=options.sampler_options,
        pruner=options.pruner,
        pruner_options=options.pruner_options,
        trials=options.trials if searches else None,
        arguments=tuple(arguments),
    )


def refuse_other_sweep(there: Settings, asked: Settings, name: str) -> None:
    """Refuse to go on with a sweep whose scores those of the new jobs could not be compared with.

    Raises:
        UserError: What differs.
    """
    other = "Give another sweep.name to start anew."
    if there.metrics != asked.metrics or there.directions != asked.directions:
        raise UserError(f"The sweep {name} is judged by {', '.join(there.metrics)}: it goes on with these. {other}")
    if (there.trials is None) != (asked.trials is None):
        kinds = ["a grid" if one.trials is None else "a search" for one in (there, asked)]
        raise UserError(f"The sweep {name} is {kinds[0]}, and this command asks for {kinds[1]}. {other}")
    if asked.trials is not None and job_key(there.overrides) != job_key(asked.overrides):
        was = " ".join(there.overrides) or "nothing"
        raise UserError(f"The search {name} was started with {was} for all jobs: it goes on with that. {other}")


def drive(ledger: Ledger, space: Space, options: SweepOptions, composer: Composer, launcher: Launcher) -> list[Job]:
    """Run what is left to run; return all jobs."""
    settings, folder = ledger.settings, ledger.file.parent
    total = settings.trials or len(ledger.jobs())
    console = console_of_sweep()
    slots = slots_of(launcher, composer, settings)

    def show() -> None:
        jobs = ledger.jobs()
        progress.update(jobs, settings.overrides)
        write_table(folder, jobs, options.objectives, settings.overrides)

    start = partial(start_jobs, launcher, composer)
    more = partial(add_suggestion, ledger, space)
    leave = getattr(launcher, "leave", None)  # of one whose jobs need nobody to watch them
    with Progress(console, options.objectives[0], total, LEAVES if leave else STOPS) as progress:
        show()
        try:
            stops = options.on_error == "stop"
            Driver(ledger, start, more, show, slots, options.retries, stops, leave or (lambda: None)).run()
        except (KeyboardInterrupt, SystemExit):
            done = sum(job.is_finished for job in ledger.jobs())
            text = f"Stopped with {done} of {total} jobs behind it. {LEFT.format(options.name) if leave else GO_ON}"
            console.print(text, highlight=False, soft_wrap=True)
            raise
        finally:
            show()
    return ledger.jobs()


def slots_of(launcher: Launcher, composer: Composer, settings: Settings) -> int | None:
    """Return how many jobs are handed to a launcher at a time, as `Driver` has it.

    A search does not know its jobs before others are done. Of a launcher that nobody knows it has one job at a time.
    """
    if composer.runs_here:
        return None
    if hasattr(launcher, "jobs"):
        return int(launcher.jobs)
    if settings.trials is None:
        return 0
    return int(composer.config.hydra.launcher.get("array_parallelism", 1))


def add_suggestion(ledger: Ledger, space: Space) -> Job | None:
    """Add the sampler's next job to a search; None where it has all its jobs, or is none."""
    settings = ledger.settings
    if settings.trials is None or len(ledger.jobs()) >= settings.trials:
        return None
    found = suggest(ledger, space)
    if found is None:
        return None
    overrides = (*settings.overrides, *found.overrides)
    return ledger.add(overrides, found.params, found.distributions, found.system_attrs, key=job_key(overrides))


def start_jobs(launcher: Launcher, composer: Composer, jobs: Sequence[Job]) -> list[str | None]:
    """Run jobs by Hydra's launcher, and return what went wrong with each.

    Hydra's own launchers count from a first number: they get the jobs whose numbers follow each other together.
    """
    ends: list[JobReturn] = []
    launch_numbered = getattr(launcher, "launch_numbered", None)
    for group in [jobs] if launch_numbered else neighbours(jobs):
        lines = [composer.command_line(job.overrides, job.number) for job in group]
        if launch_numbered:
            ends += launch_numbered(lines, [job.number for job in group])
        else:
            ends += launcher.launch(lines, initial_job_idx=group[0].number)
    # the property return_value would raise what went wrong
    return [str(end._return_value) if end.status == JobStatus.FAILED else None for end in ends]


def neighbours(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Yield jobs in groups without gaps in their numbers, as launchers count them."""
    group: list[Job] = []
    for job in jobs:
        if group and job.number != group[-1].number + 1:
            yield group
            group = []
        group.append(job)
    if group:
        yield group


def finish(jobs: Sequence[Job], options: SweepOptions, composer: Composer, folder: Path) -> None:
    """Print the last table, write the products; say by the exit code whether all is well."""
    console, common = Console(), shared(jobs)
    print_jobs(console, jobs, options.objectives, common)
    write_products(folder, jobs, options, composer, common)
    for job in jobs:
        if job.state == FAILED:
            place = folder / (job.folder or str(job.number))
            console.print(f"job {job.number} failed: {job.error} (see {place})", highlight=False, soft_wrap=True)
    console.print(f"Sweep folder: {folder}", highlight=False, soft_wrap=True)
    if any(job.state == FAILED for job in jobs):
        sys.exit(1)
    if any(job.state == PENDING for job in jobs):
        sys.exit(130)


def shared(jobs: Sequence[Job]) -> tuple[str, ...]:
    """Return the overrides that all jobs have; none of a single job."""
    if len(jobs) < 2:
        return ()
    return tuple(text for text in jobs[0].overrides if all(text in job.overrides for job in jobs))
