"""`launcher=processes`: which GPUs a job gets, and real jobs in processes of their own."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import TINY

from polytag.run_folder import RunFolder
from polytag.sweep.ledger import Ledger
from polytag.sweep.processes import shares, visible_gpus

SHORT = ("recipe=one_stage", "recipe.image_size=32", "sweep.estimate=false", "sweep.name=s")


@pytest.mark.parametrize(
    ("gpus", "slots", "each"),
    [
        ([], 2, [[], []]),
        (["0", "1", "2", "3"], 4, [["0"], ["1"], ["2"], ["3"]]),
        (["0", "1", "2", "3"], 2, [["0", "1"], ["2", "3"]]),
        (["0", "1", "2"], 2, [["0"], ["1"]]),
        (["5", "7"], 1, [["5", "7"]]),
        (["0", "1"], 3, [["0"], ["1"], ["0"]]),
    ],
)
def test_gpus_are_shared_out(gpus, slots, each):
    assert shares(gpus, slots) == each


@pytest.mark.parametrize(
    ("given", "gpus"), [("2, 3", ["2", "3"]), ("", []), ("-1", []), ("GPU-1a,GPU-2b", ["GPU-1a", "GPU-2b"])]
)
def test_only_visible_gpus_are_shared_out(given, gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == gpus


def start(csv_data, folder, *overrides):
    """Start `train -m` as a process of its own session, so that all of it can be killed."""
    command = [
        sys.executable,
        "-m",
        "polytag.train",
        "-m",
        *TINY,
        "data=csv",
        f"data.root={csv_data}",
        *SHORT,
        *overrides,
    ]
    with open(folder / "out.txt", "ab") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)


def running(file):
    """Return the jobs that run and have an epoch behind them."""
    jobs = Ledger.open(file).jobs() if file.exists() else []
    return [job for job in jobs if job.state == "running" and job.intermediate]


def wait_for(what):
    end = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_several_jobs_at_once_of_which_one_is_killed_and_goes_on(csv_data, tmp_path):
    folder = tmp_path / "logs/sweep/s"
    sweep = start(csv_data, tmp_path, "launcher=processes", "hydra.launcher.jobs=2", "seed=1,2,3", "recipe.epochs=40")
    victim = wait_for(lambda: running(folder / "ledger.db"))[0]
    os.kill(victim.owner.pid, signal.SIGKILL)
    assert sweep.wait(timeout=240) == 0, (tmp_path / "out.txt").read_text()
    jobs = Ledger.open(folder / "ledger.db").jobs()
    assert [(job.state, job.attempts) for job in jobs] == [("done", 1 + (job.number == victim.number)) for job in jobs]
    for job in jobs:
        run = RunFolder(folder / str(job.number))
        assert len(run.read_history()) == 40 and run.read_config().seed == job.number + 1
        assert "Run folder: " in (run.path / "output.log").read_text()
    out = (tmp_path / "out.txt").read_text()
    assert "Run folder: " not in out
    assert f"job {victim.number} running  attempt 2" in out


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_and_ends_as_one_that_was_not(csv_data, tmp_path):
    folder, whole = tmp_path / "logs/sweep/s", tmp_path / "logs/sweep/whole"
    search = ("recipe.lr=tag(log,interval(1e-3,1e-1))", "sweep.trials=3", "recipe.epochs=30")
    for _ in range(2):
        sweep = start(csv_data, tmp_path, *search, "sweep.retries=5")
        wait_for(lambda: running(folder / "ledger.db"))
        os.killpg(sweep.pid, signal.SIGKILL)
        sweep.wait()
    for name in ("s", "whole"):
        done = start(csv_data, tmp_path, *search, "sweep.retries=5", f"sweep.name={name}").wait(timeout=240)
        assert done == 0, (tmp_path / "out.txt").read_text()
    tables = []
    for place in (folder, whole):
        with open(place / "sweep.csv", newline="") as file:
            tables.append([(row["job"], row["state"], row["score"], row["overrides"]) for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert len((folder / "0/output.log").read_text().split("Going on from")) > 1


@pytest.mark.slow
def test_ctrl_c_stops_with_a_checkpoint_and_the_same_command_goes_on(csv_data, tmp_path):
    folder = tmp_path / "logs/sweep/s"
    sweep = start(csv_data, tmp_path, "seed=1,2", "recipe.epochs=30")
    wait_for(lambda: running(folder / "ledger.db"))
    os.killpg(sweep.pid, signal.SIGINT)
    assert sweep.wait(timeout=60) == 130
    first, second = Ledger.open(folder / "ledger.db").jobs()
    assert (first.state, first.attempts, second.state) == ("pending", 0, "pending")
    assert start(csv_data, tmp_path, "seed=1,2", "recipe.epochs=30").wait(timeout=120) == 0
    assert [job.state for job in Ledger.open(folder / "ledger.db").jobs()] == ["done", "done"]
    assert "Stopped with 0 of 2 jobs behind it. The same command goes on." in (tmp_path / "out.txt").read_text()


@pytest.mark.slow
def test_configs_of_ones_own_are_found_by_each_process_and_when_the_sweep_is_resumed(csv_data, tmp_path):
    experiment = tmp_path / "mine/experiment/short.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text("# @package _global_\nrecipe: {epochs: 1}\n")
    folder, own = tmp_path / "logs/sweep/s", ("experiment=short", "--config-dir", "mine")  # options behind overrides
    processes = ("launcher=processes", "hydra.launcher.jobs=1")
    assert start(csv_data, tmp_path, *processes, *own, "seed=1,2").wait(timeout=120) == 0
    command = [sys.executable, "-m", "polytag.train", "-m", "sweep.resume=s", "seed=1,2,3", "data.batch_size=5"]
    assert subprocess.run(command, cwd=tmp_path, timeout=120).returncode == 0
    jobs = Ledger.open(folder / "ledger.db").jobs()
    assert [job.state for job in jobs] == ["done"] * 5  # another batch size makes three more
    assert [len(RunFolder(folder / str(job.number)).read_history()) for job in jobs] == [1] * 5


@pytest.mark.slow
def test_the_mistake_of_a_process_is_told_in_its_words(csv_data, tmp_path):
    processes = ("launcher=processes", "hydra.launcher.jobs=1", "+hydra.launcher.env.WANDB_MODE=sometimes")
    assert start(csv_data, tmp_path, *processes, "logger=wandb", "seed=1,2", "recipe.epochs=1").wait(timeout=120) == 1
    out = (tmp_path / "out.txt").read_text()
    assert "job 0 failed: WANDB_MODE=sometimes is none of online, offline, disabled." in out
