"""`launcher=processes`: several jobs at once on one machine, each in a process and on a GPU of its own."""

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig

from polytag.errors import UserError
from polytag.sweep.capture import OUTPUT_FILE
from polytag.sweep.composing import given_config_dir, job_folder

MISTAKE = "Error: "  # begins what a command says of a mistake
CORES = 4  # a job, where there is no GPU
OF_THE_SWEEP = ("sweep", "run", "mode", "launcher", "sweeper")  # parts of Hydra's config


class Processes:
    """Starts jobs as single runs of `train`, as many at once as there are slots.

    Args:
        jobs: How many slots; None: one a GPU, without GPUs one for every four cores.
        env: More environment variables of the jobs.
        context: Composes configs.
        config: Of the sweep.

    Raises:
        UserError: No slot.
    """

    def __init__(self, jobs: int | None, env: Mapping[str, str], context: HydraContext, config: DictConfig) -> None:
        gpus, cores = visible_gpus(), os.cpu_count() or 1
        self.jobs = jobs if jobs is not None else len(gpus) or max(1, cores // CORES)
        if self.jobs < 1:
            raise UserError(f"hydra.launcher.jobs={jobs} has to be 1 or more: how many jobs run at once?")
        self.env, self.context, self.config = dict(env), context, config
        self._slots: queue.Queue[dict[str, str]] = queue.Queue()
        threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // self.jobs))}
        for share in shares(gpus, self.jobs):
            self._slots.put(threads | ({"CUDA_VISIBLE_DEVICES": ",".join(share)} if share else {}))

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run some jobs, of which the first has this number, and return how each ended."""
        numbers = range(first, first + len(job_overrides))
        if len(job_overrides) == 1:
            return [self._run_one(job_overrides[0], first)]
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(self._run_one, job_overrides, numbers))

    def _run_one(self, overrides: Sequence[str], number: int) -> JobReturn:
        folder = job_folder(self.context, self.config, overrides, number)
        folder.mkdir(parents=True, exist_ok=True)
        slot = self._slots.get()
        try:
            with open(folder / OUTPUT_FILE, "ab+") as output:
                begin = output.seek(0, os.SEEK_END)
                done = subprocess.run(
                    self._command(overrides, folder),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | slot | self.env,
                    check=False,
                )
                output.seek(begin)
                said = output.read().decode(errors="replace")
        finally:
            self._slots.put(slot)
        end = JobReturn(overrides=overrides)
        end.status = JobStatus.FAILED if done.returncode else JobStatus.COMPLETED
        end.return_value = RuntimeError(_how(done.returncode, said)) if done.returncode else None
        return end

    def _command(self, overrides: Sequence[str], folder: Path) -> list[str]:
        given = self.config.hydra.overrides.hydra
        parts = ((text, text.lstrip("+~").replace("/", ".").removeprefix("hydra.")) for text in given)
        own = [text for text, part in parts if not part.startswith(OF_THE_SWEEP)]
        path = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        place = given_config_dir(self.config)
        options = [] if place is None else ["--config-dir", place]
        return [sys.executable, "-m", "polytag.train", *options, *overrides, *own, f"hydra.run.dir='{path}'"]


def shares(gpus: Sequence[str], slots: int) -> list[list[str]]:
    """Return the GPUs of each slot: as many each as there are, else one that several share."""
    if len(gpus) < slots:
        return [[gpus[slot % len(gpus)]] if gpus else [] for slot in range(slots)]
    each = len(gpus) // slots
    return [list(gpus[slot * each : (slot + 1) * each]) for slot in range(slots)]


def visible_gpus() -> list[str]:
    """Return the GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _how(code: int, said: str) -> str:
    """Return how a process ended, in its own words where it had some."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    words = [line.removeprefix(MISTAKE) for line in said.splitlines() if line.startswith(MISTAKE)]
    return words[-1] if words else f"exit code {code}"
