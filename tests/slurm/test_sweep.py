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
        "hydra.launcher.partition=low",
    ),
    *("data.train_scenes=96", "data.val_scenes=32", "recipe.image_sizes=[32]", "recipe.epochs=1"),
)
ONE_TASK = (*TINY, *SETTINGS, "hydra.launcher.cpus_per_task=4")
TWO_TASKS = (
    *(setting for setting in TINY if setting != "trainer=cpu"),
    *(*SETTINGS, "hydra.launcher.cpus_per_task=2", "trainer=slurm", "trainer.accelerator=cpu", "trainer.devices=2"),
)
HOLD = "+callbacks.slow={_target_: fake.stopping.Slow, file: %s}"


@pytest.fixture
def start(cluster):
    """Return a function that starts a sweep and leaves it running."""
    if not cluster.has_accounting:
        pytest.skip("the launcher asks sacct how jobs end (apt-get install slurmdbd mariadb-server)")
    started = []

    def run(*overrides):
        command = ["train", "-m", *overrides]
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


def hold_longer(hold):
    (hold.parent / "longer").write_text("8")
    (hold.parent / "longer").rename(hold)  # never seen empty


def minutes_of(cluster, job):
    """The full minutes that a job has run, below an hour."""
    return int(cluster.run("squeue", "--noheader", "--jobs", job, "--format=%M").stdout.split(":")[0])


def jobs_of(folder):
    file = folder / "ledger.journal"
    return Ledger.open(file).jobs() if file.exists() else []


def running(folder):
    """The jobs that run, have not been started before, and have a checkpoint."""
    there = [job for job in jobs_of(folder) if job.state == "running" and job.attempts == 1]
    return [job for job in there if (folder / job.folder / "checkpoints/last.ckpt").exists()]


def test_a_sweep_of_which_one_job_is_killed_and_one_pushed_out_ends_with_all_done(cluster, start, tmp_path):
    hold, folder = tmp_path / "hold", cluster.folder / "logs/sweep/six"
    hold.write_text("0.2")
    sweep = start(*ONE_TASK, "seed=1,2,3,4,5,6", "sweep.name=six", HOLD % hold)
    killed = wait_for(lambda: running(folder))[0]
    os.kill(killed.owner.pid, signal.SIGKILL)
    pushed = wait_for(lambda: [job for job in running(folder) if job.number != killed.number])[0]
    node = cluster.run("squeue", "--noheader", "--jobs", pushed.owner.slurm, "--format=%N").stdout.strip()
    pushing = cluster.submit("--partition=high", f"--nodelist={node}", "--exclusive", "--wrap=sleep 1")
    wait_for(lambda: jobs_of(folder)[pushed.number].owner != pushed.owner)
    hold.unlink()
    assert sweep.wait(timeout=240) == 0, (cluster.folder / "sweep.out").read_text()
    assert pushing.wait_for_end()["JobState"] == "COMPLETED"
    jobs = jobs_of(folder)
    assert [job.state for job in jobs] == ["done"] * 6
    assert jobs[killed.number].attempts == 2
    for job in jobs:
        run = RunFolder(folder / str(job.number))
        assert len(run.read_history()) == 2 and run.read_config().seed == job.number + 1
    assert "6 jobs: 6 done" in (cluster.folder / "sweep.out").read_text()


def test_jobs_of_two_tasks_go_on_after_their_limit_of_time_and_without_the_sweep(cluster, start, tmp_path):
    hold, folder = tmp_path / "hold", cluster.folder / "logs/sweep/two"
    hold.write_text("0.4")
    command = (*TWO_TASKS, "recipe.epochs=2", "seed=1,2,3", "sweep.name=two", HOLD % hold)
    first = start(*command, "hydra.launcher.signal_delay_s=120")
    limited, other = wait_for(lambda: len(running(folder)) == 2 and running(folder))
    hold_longer(hold)  # Slurm looks at limits twice a minute only: the job must not be done before
    minutes = minutes_of(cluster, limited.owner.slurm) + 2  # one or two are left: within the limit's warning
    cluster.run("scontrol", "update", f"JobId={limited.owner.slurm}", f"TimeLimit={minutes}")
    wait_for(lambda: jobs_of(folder)[limited.number].owner != limited.owner)
    first.kill()
    first.wait()
    hold.unlink()
    assert start(*command).wait(timeout=240) == 0, (cluster.folder / "sweep.out").read_text()
    jobs = jobs_of(folder)
    assert [(job.state, job.attempts) for job in jobs] == [("done", 1)] * 3
    assert jobs[other.number].owner == other.owner  # the second command has left it alone
    for job in jobs:
        history = RunFolder(folder / str(job.number)).read_history()
        assert [int(row["epoch"]) for row in history] == [0, 1, 2, 3]


def test_a_search_goes_on_elsewhere_where_a_job_is_pruned(cluster, start):
    options = (
        "sweep.pruner=median",
        "sweep.pruner_options={n_startup_trials: 1}",
        "hydra.launcher.array_parallelism=1",
    )
    folder = cluster.folder / "logs/sweep/search"
    space = ("recipe.lr=choice(1e-9,3e-3)", "sweep.trials=2", "monitor.metric=val/loss")
    sweep = start(*ONE_TASK, *space, *options, "monitor.mode=min", "recipe.epochs=3", "sweep.name=search")
    assert sweep.wait(timeout=240) == 0, (cluster.folder / "sweep.out").read_text()
    assert [job.state for job in jobs_of(folder)] == ["done", "pruned"]


def test_without_accounting_a_sweep_is_refused(cluster):
    if cluster.has_accounting:
        pytest.skip("this cluster has accounting")
    done = cluster.run("train", "-m", *ONE_TASK, "seed=1,2")
    assert done.returncode == 2 and "sacct does not tell how jobs end" in done.stdout
