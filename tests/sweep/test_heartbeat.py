"""Who counts as alive."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from polytag.sweep import heartbeat
from polytag.sweep.heartbeat import Heartbeat, Owner, is_alive, this_process


@pytest.fixture
def child():
    """Return a process that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def of_process(pid):
    return replace(this_process(), pid=pid, start=heartbeat._start_of(pid))


def test_this_process_lives_without_any_heartbeat(tmp_path):
    me = this_process()
    assert me.pid == os.getpid()
    assert is_alive(me, tmp_path / "none")
    assert Owner.of(me.as_dict()) == me
    assert Owner.of(None) is None


def test_a_killed_process_is_dead_though_nobody_has_waited_for_it(child, tmp_path):
    owner = of_process(child.pid)
    file = tmp_path / ".alive"
    file.touch()
    assert is_alive(owner, file)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert not is_alive(owner, file)
    child.wait()
    assert not is_alive(owner, file)


def test_another_process_with_the_same_number_is_not_the_owner(child, tmp_path):
    file = tmp_path / ".alive"
    file.touch()
    assert not is_alive(replace(of_process(child.pid), start="1"), file)


def test_elsewhere_only_the_heartbeat_counts(tmp_path):
    elsewhere = Owner("node7", "other system", os.getpid(), "1")
    file = tmp_path / ".alive"
    assert not is_alive(elsewhere, file)
    file.touch()
    assert is_alive(elsewhere, file)
    for age, alive in ((55, True), (65, False)):
        os.utime(file, (time.time() - age, time.time() - age))
        assert is_alive(elsewhere, file) == alive


def test_the_heartbeat_touches_its_file_until_it_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    file = tmp_path / "job" / ".alive"
    with Heartbeat(file):
        assert file.exists()
        file.unlink()
        file.parent.rmdir()  # an error does not end it
        time.sleep(0.05)
        file.parent.mkdir()
        for _ in range(500):
            if file.exists():
                break
            time.sleep(0.01)
        assert file.exists()
    file.unlink()
    time.sleep(0.05)
    assert not file.exists()


def test_slurm_jobs_are_named(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    assert this_process().slurm is None
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert this_process().slurm == "17"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "16")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert this_process().slurm == "16_3"


def test_without_proc_ps_knows_when_a_process_was_started(child):
    start = heartbeat._start_by_ps(child.pid)
    assert start == heartbeat._start_by_ps(child.pid)
    assert time.strftime("%Y") in start
    child.kill()
    child.wait()
    assert heartbeat._start_by_ps(child.pid) is None
