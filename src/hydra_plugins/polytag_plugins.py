"""Polytag's plugins for Hydra, which imports all of this package at every start: nothing heavy may be imported here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SweeperConf:
    """`hydra/sweeper=polytag`; what it does is set under `sweep`."""

    _target_: str = "hydra_plugins.polytag_plugins.PolytagSweeper"


@dataclass
class ProcessesConf:
    """`hydra/launcher=processes`.

    Attributes:
        jobs: How many run at once; None: one a GPU, without GPUs one for every four cores.
        env: More environment variables of the jobs.
    """

    _target_: str = "hydra_plugins.polytag_plugins.ProcessesLauncher"
    jobs: int | None = None
    env: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="polytag", node=SweeperConf, provider="polytag")
ConfigStore.instance().store(group="hydra/launcher", name="processes", node=ProcessesConf, provider="polytag")


class PolytagSweeper(Sweeper):  # type: ignore[misc]  # Hydra ships no types
    """Grids, lists and searches with a ledger. See `polytag.sweep.multirun`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over, and make the launcher."""
        from hydra.core.plugins import Plugins

        self.context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep that the command line's overrides describe, or go on with it."""
        from polytag.sweep.multirun import run_sweep

        return run_sweep(arguments, self.config, self.context, self.launcher)


class ProcessesLauncher(Launcher):  # type: ignore[misc]  # Hydra ships no types
    """Several jobs at once on this machine, each a `train` of its own. See `polytag.sweep.processes`."""

    def __init__(self, jobs: int | None, env: dict[str, str]) -> None:
        self.jobs, self.env = jobs, env

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make what starts the processes."""
        from polytag.sweep.processes import Processes

        self.processes = Processes(self.jobs, self.env, hydra_context, config)
        self.jobs = self.processes.jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, and return when all have ended. Several threads may call this at once."""
        return self.processes.run(job_overrides, initial_job_idx)


try:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
except ImportError:  # without the extra `slurm`
    pass
else:

    class SlurmLauncher(BaseSubmititLauncher):  # type: ignore[misc]  # Hydra ships no types
        """Submitit's launcher for Slurm, in which a job that dies takes no other with it. See `polytag.sweep.slurm`."""

        _EXECUTOR = "slurm"

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submit jobs whose numbers follow each other, and return when all have ended."""
            return self.launch_numbered(job_overrides, range(initial_job_idx, initial_job_idx + len(job_overrides)))

        def launch_numbered(
            self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int]
        ) -> Sequence[JobReturn]:
            """Submit jobs as one array, and return when all have ended. Several threads may call this at once."""
            from polytag.sweep.slurm import launch

            return launch(self, job_overrides, numbers)

        def check(self) -> None:
            """Refuse to start where no job could be submitted or followed."""
            from polytag.preflight import check_accounting

            check_accounting()

        def leave(self) -> None:
            """Wait no longer for the jobs that Slurm has."""
            from polytag.sweep.slurm import LEFT

            LEFT.set()
