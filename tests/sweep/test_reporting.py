"""What a job's process tells the ledger."""

import os
import signal
import subprocess
import sys
import time

import pytest

from polytag.sweep.ledger import Ledger
from polytag.sweep.reporting import JobRecord, JobTakenError
from polytag.sweep.settings import Settings


@pytest.fixture(params=["ledger.db", "ledger.journal"])
def ledger(request, tmp_path):
    ledger = Ledger.create(tmp_path / request.param, Settings(pruner="median", pruner_options={"n_startup_trials": 1}))
    ledger.add(["lr=1"])
    ledger.add(["lr=2"])
    return ledger


def test_a_job_from_its_start_to_its_end(ledger):
    with JobRecord(ledger.file, 0) as record:
        job = ledger.job(0)
        assert (job.state, job.owner.pid, job.folder) == ("running", os.getpid(), "0")
        assert (ledger.file.parent / "0/.alive").exists()
        with pytest.raises(JobTakenError, match="Job 0 is finished, or runs elsewhere"), JobRecord(ledger.file, 0):
            pass
        record.report(0, 0.5)
        assert not record.should_prune()
        time.sleep(0.02)
        assert record.finish([0.75])
    job = ledger.job(0)
    assert (job.state, job.values, job.intermediate, job.attempts) == ("done", (0.75,), {0: 0.5}, 1)
    assert 0.02 <= job.seconds < 60
    with pytest.raises(JobTakenError), JobRecord(ledger.file, 0):
        pass


def test_a_job_that_the_sweep_has_seen_enough_of(ledger):
    with JobRecord(ledger.file, 0) as record:
        record.report(0, 0.5)
        record.finish([0.5])
    with JobRecord(ledger.file, 1, ledger.file.parent / "1_lr") as record:
        record.report(0, 0.4)
        assert record.should_prune()
        assert record.prune(0.4)
    job = ledger.job(1)
    assert (job.state, job.values, job.folder) == ("pruned", (0.4,), "1_lr")


@pytest.mark.parametrize(
    ("error", "state", "attempts", "text"),
    [
        (RuntimeError("no memory\nat all"), "failed", 1, "RuntimeError: no memory"),
        (KeyboardInterrupt(), "pending", 0, None),
        (SystemExit(143), "pending", 0, None),
    ],
)
def test_how_a_job_ends_with_an_exception(ledger, error, state, attempts, text):
    with pytest.raises(type(error)), JobRecord(ledger.file, 0):
        raise error
    job = ledger.job(0)
    assert (job.state, job.attempts, job.error) == (state, attempts, text)


def test_an_end_without_a_score_is_a_failure(ledger):
    with JobRecord(ledger.file, 0):
        pass
    assert (ledger.job(0).state, ledger.job(0).error) == ("failed", "It ended without a score.")


def _finish_and_fail(file):
    with JobRecord(file, 0) as record:
        record.finish([0.5])
        raise OSError("disk full")


def test_an_exception_after_the_end_changes_nothing(ledger):
    with pytest.raises(OSError, match="disk full"):
        _finish_and_fail(ledger.file)
    assert (ledger.job(0).state, ledger.job(0).values) == ("done", (0.5,))


def test_a_killed_job_is_somebody_elses_with_what_it_reported(ledger):
    code = (
        "import sys; from pathlib import Path; from polytag.sweep.reporting import JobRecord\n"
        "with JobRecord(Path(sys.argv[1]), 0) as record:\n"
        "    record.report(0, 0.5); print('reported', flush=True); input()\n"
    )
    command = [sys.executable, "-c", code, str(ledger.file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "reported\n"
        assert ledger.is_alive(ledger.job(0))
        with pytest.raises(JobTakenError), JobRecord(ledger.file, 0):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with JobRecord(ledger.file, 0) as record:
        assert ledger.job(0).intermediate == {0: 0.5}
        record.finish([0.5])
    assert (ledger.job(0).state, ledger.job(0).attempts) == ("done", 2)
