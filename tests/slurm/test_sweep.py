"""A sweep on a real Slurm: a job array on two nodes, of which jobs are killed and pushed out."""

import os
import signal
import subprocess
import time

import pytest
from conftest import TINY

from polytag.run_folder import RunFolder
from polytag.sweep.ledger import Ledger

pytestmark = pytest.mark.slurm
SETTINGS = (
    *(
        "launcher=slurm",
        "hydra.launcher.timeout_min=20",
        "hydra.launcher.cpus_per_task=4",
        "hydra.launcher.partition=low",
    ),
    *("data.train_scenes=96", "data.val_scenes=32", "recipe.image_sizes=[32]", "recipe.epochs=1"),
)


@pytest.fixture
def start(cluster):
    """Return a function that starts a sweep and leaves it running."""
    if not cluster.has_accounting:
        pytest.skip("the launcher asks sacct how jobs end (apt-get install slurmdbd mariadb-server)")
    started = []

    def run(*overrides):
        command = ["train", "-m", *TINY, *SETTINGS, *overrides]
        with open(cluster.folder / "sweep.out", "wb") as output:
            started.append(
                subprocess.Popen(
                    command, cwd=cluster.folder, env=cluster.environment, stdout=output, stderr=subprocess.STDOUT
                )
            )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
    cluster.run("scancel", "--partition=low")


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.3)
    return found


def test_a_sweep_of_which_one_job_is_killed_and_one_pushed_out_ends_with_all_done(cluster, start, tmp_path):
    hold, folder = tmp_path / "hold", cluster.folder / "logs/sweep/six"
    hold.write_text("0.2")
    held = f"+callbacks.slow={{_target_: fake.stopping.Slow, file: {hold}}}"
    sweep = start("seed=1,2,3,4,5,6", "sweep.name=six", held)

    def running():
        """The jobs that run and have a checkpoint."""
        file = folder / "ledger.journal"
        jobs = Ledger.open(file).jobs() if file.exists() else []
        there = [job for job in jobs if job.state == "running" and job.attempts == 1]
        return [job for job in there if (folder / job.folder / "checkpoints/last.ckpt").exists()]

    killed = wait_for(running)[0]
    os.kill(killed.owner.pid, signal.SIGKILL)
    pushed = wait_for(lambda: [job for job in running() if job.number != killed.number])[0]
    node = cluster.run("squeue", "--noheader", "--jobs", pushed.owner.slurm, "--format=%N").stdout.strip()
    pushing = cluster.submit("--partition=high", f"--nodelist={node}", "--exclusive", "--wrap=sleep 1")
    wait_for(lambda: Ledger.open(folder / "ledger.journal").job(pushed.number).owner != pushed.owner)
    hold.unlink()
    assert sweep.wait(timeout=240) == 0, (cluster.folder / "sweep.out").read_text()
    assert pushing.wait_for_end()["JobState"] == "COMPLETED"
    jobs = Ledger.open(folder / "ledger.journal").jobs()
    assert [job.state for job in jobs] == ["done"] * 6
    assert jobs[killed.number].attempts == 2
    for job in jobs:
        run = RunFolder(folder / str(job.number))
        assert len(run.read_history()) == 2 and run.read_config().seed == job.number + 1
    assert "6 jobs: 6 done" in (cluster.folder / "sweep.out").read_text()


def test_without_accounting_a_sweep_is_refused(cluster):
    if cluster.has_accounting:
        pytest.skip("this cluster has accounting")
    done = cluster.run("train", "-m", *TINY, *SETTINGS, "seed=1,2")
    assert done.returncode == 2 and "sacct does not tell how jobs end" in done.stdout
