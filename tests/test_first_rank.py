"""The first of several tasks prepares, the others wait, whatever becomes of it."""

import threading
import time

import pytest

from polytag.first_rank import first_rank_first, let_others_go_on, quiet_overrides
from polytag.run_folder import RunFolder

STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.fixture
def task(monkeypatch, tmp_path):
    """A function that makes this process one of two tasks."""

    def become(rank, restarts="0"):
        for name, value in (STEP | {"SLURM_PROCID": str(rank), "SLURM_RESTART_COUNT": restarts}).items():
            monkeypatch.setenv(name, value)

    return become


def second_task(folder, came):
    def work():
        with first_rank_first(folder):
            came.append("through")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_the_second_task_waits_until_the_first_lets_it_go_on(task, tmp_path):
    folder, came = RunFolder(tmp_path), []
    task(1)
    thread = second_task(folder, came)
    time.sleep(0.5)
    assert came == []
    task(0)
    with first_rank_first(folder):
        let_others_go_on(folder)
        thread.join(10)
        assert came == ["through"]


def test_it_does_not_wait_for_a_first_task_that_failed(task, tmp_path):
    folder = RunFolder(tmp_path)
    task(0)
    with pytest.raises(ValueError, match="no data"), first_rank_first(folder):
        raise ValueError("no data")
    task(1)
    with pytest.raises(SystemExit) as stop, first_rank_first(folder):
        pass
    assert stop.value.code == 1


def test_what_an_earlier_start_of_the_job_left_does_not_count(task, tmp_path):
    folder, came = RunFolder(tmp_path), []
    task(0)
    with first_rank_first(folder):
        pass
    task(1, restarts="1")
    thread = second_task(folder, came)
    time.sleep(0.5)
    assert came == []
    task(0, restarts="1")
    with first_rank_first(folder):
        pass
    thread.join(10)
    assert came == ["through"]
    assert [file.name for file in tmp_path.iterdir()] == [".started_7_0_1"]


def test_a_process_by_itself_waits_for_nobody_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    with first_rank_first(RunFolder(tmp_path)):
        let_others_go_on(RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert quiet_overrides() == []
