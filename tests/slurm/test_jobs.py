"""One training as a job of a real Slurm: two processes on the CPU, stopped in every way that a cluster knows."""

import csv
import os
import signal
import time
from pathlib import Path

import pytest
from conftest import TINY

pytestmark = pytest.mark.slurm
SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "slurm.sbatch"
JOB = (SCRIPT, "--ntasks-per-node=2", "--cpus-per-task=1", "--time=10", "--signal=USR1@60")
SETTINGS = (
    *(setting for setting in TINY if setting not in ("trainer=cpu", "report=false")),
    *("trainer.accelerator=cpu", "data.train_scenes=96", "data.val_scenes=32"),
    *("recipe.image_sizes=[32]", "recipe.epochs=[1,3]", "logger=wandb", "logger.wandb.mode=offline"),
)


def submit(cluster, hold, *settings):
    script, *options = JOB
    held = f"+callbacks.slow={{_target_: fake.stopping.Slow, file: {hold}}}"
    return cluster.submit(*options, script, *SETTINGS, held, *settings)


def run_folder(job):
    return job.cluster.folder / "logs" / "slurm" / job.number


def table(file):
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def assert_equal_runs(one, other):
    """The losses of an epoch's parts are added up in another order, so their last digit may differ."""
    for file in ("metrics.csv", "predictions/val.csv"):
        rows, same = table(one / file), table(other / file)
        assert len(rows) == len(same)
        for row, other_row in zip(rows, same, strict=True):
            assert row.keys() == other_row.keys()
            for key, value in row.items():
                try:
                    assert float(value) == pytest.approx(float(other_row[key]), rel=1e-6, abs=1e-9), key
                except ValueError:
                    assert value == other_row[key], key


@pytest.fixture(scope="module")
def whole(cluster):
    """The folder of a job that nothing has stopped."""
    job = submit(cluster, "never")
    assert job.wait_for_end()["JobState"] == "COMPLETED", job.output
    return run_folder(job)


def test_two_tasks_write_one_run_and_speak_with_one_voice(whole):
    output = (whole.parents[2] / f"{whole.name}.out").read_text()
    assert output.count("128 images: 96 train, 32 val") == 1
    assert output.count("epoch 4/4") == 1
    assert output.count("Run folder: ") == 1
    assert "MEMBER: 1/2" in output
    written = {file.name for file in whole.iterdir()} - {"checkpoints", "plots", "predictions", "wandb", ".hydra"}
    tables = {"metrics.csv", "steps.csv", "policy.json", "summary.json"}
    assert written == tables | {"config.yaml", "model.txt", "report.html", "train.log", f".started_{whole.name}_0_0"}


def test_a_job_goes_on_after_whatever_ends_it(cluster, whole, tmp_path):
    hold = tmp_path / "hold"
    hold.write_text("0.4")
    job = submit(cluster, hold)
    # Python is still importing: there is nothing to be saved, but the signal of the limit must not end the job.
    job.wait_for(lambda job: ".0 " in cluster.run("squeue", "--steps", "--noheader", "--format=%i |").stdout)
    time.sleep(0.5)
    cluster.run("scancel", "--signal=USR1", job.number)
    job.wait_for(lambda job: job.facts()["Restarts"] == "1")
    job.wait_for_text("epoch 1/4")
    assert job.output.count("Stopped in epoch") == 0
    cluster.run("scontrol", "requeue", job.number)
    job.wait_for_text("Stopped in epoch 2 of 4")
    job.wait_for_text("epoch 2/4")
    pushing = cluster.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=sleep 2")
    job.wait_for_text("Stopped in epoch 3 of 4")
    assert pushing.wait_for_end()["JobState"] == "COMPLETED"
    job.wait_for_text("Going on from", 2)
    (tmp_path / "longer").write_text("3")
    (tmp_path / "longer").rename(hold)
    cluster.run("scontrol", "update", f"JobId={job.number}", "TimeLimit=1")  # from now on within the limit's warning
    job.wait_for_text("Stopped in epoch ", 3)
    job.wait_for(lambda job: job.facts()["Restarts"] == "4")
    cluster.run("scontrol", "update", f"JobId={job.number}", "TimeLimit=10")
    hold.unlink()
    facts = job.wait_for_end()
    assert (facts["JobState"], facts["Restarts"]) == ("COMPLETED", "4"), job.output
    assert_equal_runs(whole, run_folder(job))
    offline = [path.name.rpartition("-")[2] for path in (run_folder(job) / "wandb").glob("offline-run-*")]
    assert len(offline) == 4 and len(set(offline)) == 1  # parts of one run at W&B


def test_a_killed_process_ends_the_job_and_the_job_can_go_on(cluster, whole, tmp_path):
    hold = tmp_path / "hold"
    hold.write_text("0.4")
    job = submit(cluster, hold)
    job.wait_for(lambda job: (run_folder(job) / "checkpoints" / "last.ckpt").exists())
    os.kill(pid_of(job, rank=1), signal.SIGKILL)
    killed = time.monotonic()
    facts = job.wait_for_end()
    assert (facts["JobState"], facts["Restarts"]) == ("FAILED", "0")
    assert time.monotonic() - killed < 30  # instead of the half hour that collectives wait
    assert "task 1: Killed" in job.output
    hold.unlink()
    assert cluster.run("scontrol", "requeue", job.number).returncode == 0
    job.wait_for_text("Going on from")
    assert job.wait_for_end()["JobState"] == "COMPLETED"
    assert_equal_runs(whole, run_folder(job))


def pid_of(job, rank):
    """Return the process id of a job's task."""
    wanted = {f"SLURM_JOB_ID={job.number}", f"SLURM_PROCID={rank}", "SLURM_STEP_ID=0"}
    for file in Path("/proc").glob("[0-9]*"):
        try:
            environment = (file / "environ").read_bytes().decode(errors="replace").split("\0")
            command = (file / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if wanted <= set(environment) and b"/train\0" in command:
            return int(file.name)
    raise AssertionError(job.output)
