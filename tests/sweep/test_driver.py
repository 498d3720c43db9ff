"""Handing out jobs: each until it has ended, whatever becomes of its process."""

import os
import threading

import pytest

from polytag.sweep.driver import Driver
from polytag.sweep.heartbeat import this_process
from polytag.sweep.ledger import Ledger
from polytag.sweep.settings import Settings

GONE = {"host": "here", "pid": 2**22 + 1, "start": "0"}  # a number that no process has


@pytest.fixture
def ledger(tmp_path):
    return Ledger.create(tmp_path / "ledger.db", Settings())


def drive(ledger, run, slots=None, retries=1, stops=False, suggest=lambda: None):
    """Drive with a function that is called for each job, and returns what went wrong."""
    handed = []

    def start(jobs):
        handed.append([job.number for job in jobs])
        return [run(job) for job in jobs]

    Driver(ledger, start, suggest, lambda: None, slots, retries, stops).run()
    return handed


def add(ledger, count):
    for number in range(count):
        ledger.add([f"seed={number}"])


def do(ledger, job, score=0.5):
    assert ledger.claim(job.number, this_process())
    ledger.finish(job.number, [score], 1.0)


def die(ledger, job):
    """Take a job as a process that is killed at once."""
    me = this_process().as_dict()
    assert ledger.claim(job.number, type(this_process())(**me | {"pid": GONE["pid"], "start": GONE["start"]}))
    return "killed by SIGKILL"


def states(ledger):
    return [job.state for job in ledger.jobs()]


@pytest.mark.parametrize(("slots", "handed"), [(None, [[0], [1], [2]]), (0, [[0, 1, 2]])])
def test_one_by_one_or_all_together(ledger, slots, handed):
    add(ledger, 3)
    assert drive(ledger, lambda job: do(ledger, job), slots) == handed
    assert states(ledger) == ["done"] * 3


def test_several_at_once_and_a_free_slot_takes_the_next(ledger):
    add(ledger, 4)
    together, first_waits = threading.Barrier(2, timeout=20), threading.Event()

    def run(job):
        if job.number < 2:
            together.wait()  # both run at once
        if job.number == 0:
            assert first_waits.wait(20)  # until the other slot has done all others
        do(ledger, job)
        if job.number == 3:
            first_waits.set()

    drive(ledger, run, slots=2)
    assert states(ledger) == ["done"] * 4


def test_a_job_whose_process_died_is_started_again_so_often(ledger):
    add(ledger, 2)

    def run(job):
        return die(ledger, job) if job.number == 0 else do(ledger, job)

    assert drive(ledger, run, retries=2) == [[0], [0], [0], [1]]
    assert states(ledger) == ["failed", "done"]
    assert ledger.job(0).error == "Its process died, 3 times: killed by SIGKILL."


def test_a_job_that_never_came_to_be_taken_fails_with_the_launchers_words(ledger):
    add(ledger, 2)
    assert drive(ledger, lambda job: "no such node" if job.number == 0 else do(ledger, job)) == [[0], [0], [1]]
    assert states(ledger) == ["failed", "done"] and ledger.job(0).error == "no such node"


def test_a_process_that_is_killed_while_it_starts_is_started_again(ledger):
    add(ledger, 1)
    ends = iter(["killed by SIGKILL"])
    assert drive(ledger, lambda job: next(ends, None) or do(ledger, job)) == [[0], [0]]
    assert states(ledger) == ["done"]


def test_a_launcher_that_breaks_costs_only_its_own_jobs(ledger):
    add(ledger, 2)

    def run(job):
        if job.number == 0:
            raise OSError("no space left")
        do(ledger, job)

    drive(ledger, run)
    assert states(ledger) == ["failed", "done"] and ledger.job(0).error == "OSError: no space left"


def test_a_job_that_was_asked_to_go_is_handed_out_again(ledger):
    add(ledger, 1)
    calls = []

    def run(job):
        calls.append(job.number)
        if len(calls) < 3:
            assert ledger.claim(job.number, this_process())
            ledger.release(job.number)
            return "exit code 143"
        return do(ledger, job)

    drive(ledger, run, retries=0)
    assert len(calls) == 3 and states(ledger) == ["done"]


def test_the_first_error_may_be_the_last(ledger):
    add(ledger, 3)

    def run(job):
        assert ledger.claim(job.number, this_process())
        ledger.fail(job.number, "a bug")

    assert drive(ledger, run, stops=True) == [[0]]
    assert states(ledger) == ["failed", "pending", "pending"]


def test_a_search_asks_for_the_next_job_when_one_is_done(ledger):
    def suggest():
        jobs = ledger.jobs()
        assert all(job.state == "done" for job in jobs)
        return ledger.add([f"seed={len(jobs)}"]) if len(jobs) < 3 else None

    assert drive(ledger, lambda job: do(ledger, job), suggest=suggest) == [[0], [1], [2]]


def test_what_another_process_runs_is_waited_for_and_taken_over_when_it_dies(ledger, monkeypatch):
    import subprocess
    import sys

    add(ledger, 1)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    me = this_process().as_dict()
    from polytag.sweep.heartbeat import _start_of

    owner = type(this_process())(**me | {"pid": other.pid, "start": _start_of(other.pid)})
    assert ledger.claim(0, owner)
    timer = threading.Timer(1.5, lambda: (other.kill(), other.wait()))
    timer.start()
    assert drive(ledger, lambda job: do(ledger, job)) == [[0]]
    assert not timer.is_alive() and os.getpid() == ledger.job(0).owner.pid


@pytest.mark.parametrize("slots", [0, 2])
def test_ctrl_c_leaves_the_jobs_of_a_launcher_that_can_do_without(ledger, slots):
    add(ledger, 3)
    left, started = threading.Event(), []

    def start(jobs):
        started.extend(job.number for job in jobs)
        assert left.wait(timeout=30)  # as long as nobody says that it may go
        return [None] * len(jobs)

    def show():
        if threading.current_thread() is threading.main_thread() and len(started) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driver(ledger, start, lambda: None, show, slots, 1, False, left.set).run()
    assert left.is_set()
    assert started == ([0, 1, 2] if slots == 0 else [0, 1])  # and no other was started
    assert {job.state for job in ledger.jobs()} == {"pending"}
