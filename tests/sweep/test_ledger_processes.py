"""One ledger, several processes, some of them killed."""

import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from polytag.sweep.ledger import Ledger
from polytag.sweep.settings import Settings

SCRIPT = Path(__file__).parents[1] / "fake" / "ledger_processes.py"
LEDGERS = ("ledger.db", "ledger.journal")


def run(what, folder, name, total, *more):
    """Return the exit codes of the processes."""
    # -P: beside the script, there is a csv.py
    command = [sys.executable, "-P", str(SCRIPT), what, str(folder), name, str(total), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(what, name, done.stderr)
    assert done.returncode == 0, done.stderr
    return [int(code) for code in done.stdout.split()]


def lines_of(folder):
    return (folder / "log.txt").read_text().splitlines()


def check_all_done(folder, name, total):
    """Every job is there once, was finished once, and has what it reported."""
    ledger = Ledger.open(folder / name)
    jobs = ledger.jobs()
    assert [job.number for job in jobs] == list(range(total))
    assert [job.overrides for job in jobs] == [(f"x={number}",) for number in range(total)]
    assert {job.state for job in jobs} == {"done"}
    assert jobs[7].values == (0.007,)
    assert jobs[7].intermediate == {0: 0.0, 1: 0.007, 2: 0.014}
    assert all(len(job.intermediate) == 3 and job.values == (job.intermediate[1],) for job in jobs)
    finished = lines_of(folder)
    assert len(finished) == len(set(finished))
    return jobs


@pytest.mark.parametrize("name", LEDGERS)
@pytest.mark.parametrize("total", [40, pytest.param(500, marks=pytest.mark.slow)])
def test_four_processes_finish_each_job_once(tmp_path, name, total):
    ledger = Ledger.create(tmp_path / name, Settings())
    for number in range(total):
        ledger.add([f"x={number}"])
    assert run("race", tmp_path, name, total) == [0, 0, 0, 0]
    jobs = check_all_done(tmp_path, name, total)
    assert len(lines_of(tmp_path)) == total
    assert {job.attempts for job in jobs} == {1}
    assert len({job.owner.pid for job in jobs}) > 1


@pytest.mark.parametrize("name", LEDGERS)
def test_four_processes_create_the_ledger_and_add_each_job_once(tmp_path, name):
    assert run("add", tmp_path, name, 12) == [0, 0, 0, 0]
    jobs = Ledger.open(tmp_path / name).jobs()
    assert [job.number for job in jobs] == list(range(12))
    assert sorted(job.overrides[0] for job in jobs) == sorted(f"x={number}" for number in range(12))
    answers = lines_of(tmp_path)  # each process was told the same number of a job
    assert len(answers) == 48
    assert set(answers) == {f"{job.number} {job.overrides[0]}" for job in jobs}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "total", "seconds"), [("ledger.db", 120, 0.35), ("ledger.journal", 1500, 0.35)])
def test_a_driver_that_is_killed_twenty_times_loses_no_job(tmp_path, name, total, seconds):
    assert run("killed", tmp_path, name, total, seconds) == [-9] * 20 + [0]
    jobs = check_all_done(tmp_path, name, total)
    assert max(job.attempts for job in jobs) > 1  # at least one was killed while it ran
    assert len(lines_of(tmp_path)) >= total - 20
    if name.endswith(".db"):
        study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path / name}")
        assert len(study.trials) == total
