"""A real Slurm on this machine, and jobs in it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
ACCOUNTING = ("slurmdbd", "mariadbd")


@dataclass(frozen=True)
class Cluster:
    """A Slurm of two nodes with four cores each. Commands run in `folder`, which jobs are submitted from."""

    folder: Path
    environment: dict[str, str]
    has_accounting: bool

    def run(self, *command: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; a hang is a failure."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def submit(self, *arguments: str) -> "Job":
        """Call sbatch."""
        done = self.run("sbatch", "--parsable", "--output=%j.out", *arguments)
        assert done.returncode == 0, done.stdout
        return Job(self, done.stdout.split()[-1])


@dataclass(frozen=True)
class Job:
    """A submitted job."""

    cluster: Cluster
    number: str

    @property
    def output(self) -> str:
        """What it has printed so far."""
        file = self.cluster.folder / f"{self.number}.out"
        return file.read_text() if file.exists() else ""

    def facts(self) -> dict[str, str]:
        """Return what `scontrol show job` says."""
        shown = self.cluster.run("scontrol", "--oneliner", "show", "job", self.number).stdout
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)

    def wait_for(self, condition: Callable[["Job"], bool], seconds: float = 90) -> None:
        """Wait until something is true of this job."""
        end = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < end, f"{self.facts()}\n{self.output}"
            time.sleep(0.2)

    def wait_for_text(self, text: str, times: int = 1) -> None:
        """Wait until it has printed something so many times."""
        self.wait_for(lambda job: job.output.count(text) >= times)

    def wait_for_end(self) -> dict[str, str]:
        """Wait until it is over; return its facts."""
        self.wait_for(lambda job: job.facts()["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"))
        return self.facts()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster that is started once; with accounting where its programs are installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        pytest.skip(f"Slurm is not installed: no {', '.join(missing)} (apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("a Slurm for tests is started as root")
    has_accounting = all(shutil.which(name, path=path) for name in ACCOUNTING)
    folder = tmp_path_factory.mktemp("cluster")
    tmp_path_factory.getbasetemp().chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    environment |= {
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "SLURM_TEST_PORT": str(20000 + os.getpid() % 500 * 20),
        "ACCOUNTING": "1" if has_accounting else "",
    }
    subprocess.run([HERE / "cluster.sh", "start", folder], env=environment, check=True)
    jobs = tmp_path_factory.mktemp("jobs")
    try:
        yield Cluster(jobs, environment | {"SLURM_CONF": str(folder / "slurm.conf")}, has_accounting)
    finally:
        subprocess.run([HERE / "cluster.sh", "stop", folder], env=environment, check=True)
