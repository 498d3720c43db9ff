"""Several processes under Slurm: the first one prepares, speaks and writes; the others wait for it, and are quiet."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from polytag.run_folder import RunFolder, write_atomically

FAILED = "failed"


def slurm_tasks(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many processes `srun` has started as one step; 0 where it has not started this one."""
    return int(environment.get("SLURM_STEP_NUM_TASKS", 1)) if "SLURM_STEP_ID" in environment else 0


def quiet_overrides() -> list[str]:
    """Make a process other than the first quiet, but for warnings; return what keeps Hydra from writing for it."""
    rank = os.environ["SLURM_PROCID"] if slurm_tasks() > 1 else os.environ.get("LOCAL_RANK", "0")
    if rank == "0":
        return []
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the rest of the process
    return ["hydra.output_subdir=null", "~hydra.job_logging.handlers.file", "hydra.job_logging.root.handlers=[console]"]


@contextmanager
def first_rank_first(folder: RunFolder) -> Iterator[None]:
    """Let other processes of the same `srun` wait until the first has called `let_others_go_on`, or is done.

    What it downloads, composes, measures and stores is then there for them. It leaves an empty file in the run folder,
    named after this start of the job; another start does not take it for its own.

    Raises:
        SystemExit: The first process has failed, and said why.
    """
    if slurm_tasks() < 2:
        yield
        return
    if os.environ["SLURM_PROCID"] != "0":
        _wait(folder)
        yield
        return
    for old in folder.path.glob(".started_*"):
        old.unlink()
    try:
        yield
    except BaseException:
        _note(folder, FAILED)
        raise
    let_others_go_on(folder)


def let_others_go_on(folder: RunFolder) -> None:
    """End the others' waiting; a second call, or one of another process than the first, changes nothing."""
    if slurm_tasks() > 1 and os.environ["SLURM_PROCID"] == "0":
        _note(folder, "")


def _note(folder: RunFolder, text: str) -> None:
    if not (file := folder.path / _name()).exists():
        write_atomically(file, text)


def _name() -> str:
    start = (os.environ.get(f"SLURM_{part}", "0") for part in ("JOB_ID", "STEP_ID", "RESTART_COUNT"))
    return f".started_{'_'.join(start)}"


def _wait(folder: RunFolder) -> None:
    file = folder.path / _name()
    while not file.exists():
        time.sleep(0.2)
    if file.read_text(encoding="utf-8") == FAILED:
        sys.exit(1)
