"""`launcher=slurm`: the jobs of a sweep as a Slurm job array, by Submitit."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from submitit.core.utils import FailedJobError, UncompletedJobError

PATIENCE = 1.0  # seconds between two looks for a job's end
LEFT = Event()  # jobs are left to Slurm. Not an attribute of the launcher, which is pickled into them
# What an executor is asked for by the same name on any cluster; the rest is Slurm's own.
COMMON = {"timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name"}
COMMON |= {"stderr_to_stdout"}


def launch(launcher: Any, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> list[JobReturn]:
    """Submit jobs as one array, wait until all have ended, and return how each did.

    Hydra's own launcher raises for the first job that died, and forgets the others.

    Args:
        launcher: Submitit's for Slurm, which is what runs in the job.
        job_overrides: Of each job.
        numbers: Of each job; the rest of a sweep that goes on may have gaps.
    """
    options = dict(launcher.params)
    folder, timeouts = options.pop("submitit_folder"), options.pop("max_num_timeout")
    executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=timeouts)
    executor.update_parameters(**{key if key in COMMON else f"slurm_{key}": value for key, value in options.items()})
    Path(str(launcher.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    count = len(job_overrides)
    columns = (
        [list(overrides) for overrides in job_overrides],
        ["hydra.sweep.dir"] * count,
        list(numbers),
        [f"job_id_for_{number}" for number in numbers],
        [Singleton.get_state()] * count,
    )
    jobs = executor.map_array(launcher, *columns)
    return [_end(job, overrides) for job, overrides in zip(jobs, job_overrides, strict=True)]


def _end(job: "submitit.Job[Any]", overrides: Sequence[str]) -> JobReturn:
    """Wait for a job that is not left to Slurm, and return what the launcher's first task has returned in it."""
    while not job.done():
        if LEFT.wait(PATIENCE):
            return JobReturn(overrides=list(overrides), status=JobStatus.UNKNOWN)
    try:
        end: JobReturn = job.results()[0]
    except (UncompletedJobError, FailedJobError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        end = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
        end.return_value = RuntimeError(
            f"Slurm job {job.job_id}: {job.state}. {lines[-1] if lines else ''} See {job.paths.stderr}"
        )
    return end
