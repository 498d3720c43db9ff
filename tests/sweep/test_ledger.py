"""What a ledger answers, with both of its storages."""

import math
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from threading import Timer

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from polytag.errors import UserError
from polytag.sweep.heartbeat import this_process
from polytag.sweep.ledger import Ledger
from polytag.sweep.settings import Settings
from polytag.sweep.storage import heal, lock_of

SETTINGS = Settings(
    directions=("maximize",),
    metrics=("val/map",),
    overrides=("data=planet", "seed=1"),
    seed=3,
    sampler_options={"n_startup_trials": 4},
    trials=20,
)
ME = this_process()
DEAD = replace(ME, start="0")


@pytest.fixture(params=["ledger.db", "ledger.journal"])
def file(request, tmp_path):
    """Return where a ledger shall be, in a folder with a name that URLs and templates would read otherwise."""
    return tmp_path / "50% {sweep}?#x=1 ü" / request.param


@pytest.fixture
def ledger(file):
    return Ledger.create(file, SETTINGS)


def again(ledger):
    """Return the ledger as another process reads it."""
    return Ledger.open(ledger.file)


def test_it_keeps_the_settings_that_it_was_made_with(ledger):
    assert again(ledger).settings == SETTINGS
    assert Ledger.create(ledger.file, Settings(seed=9)).settings == SETTINGS


def test_no_files_are_left_that_a_copy_would_miss(ledger):
    ledger.add(["lr=1"])
    name = ledger.file.name
    left = {path.name: path.stat().st_size for path in ledger.file.parent.iterdir() if path != ledger.file}
    assert left in ({f".{name}.lock": 0}, {f".{name}.lock": 0, f"{name}-journal": 0})
    if name.endswith(".db"):
        assert ledger.file.read_bytes()[18] == 1  # SQLite's format without WAL, which network file systems lack


def test_jobs_are_numbered_and_added_once(ledger):
    first = ledger.add(["lr=0.1", "model=a"], {"lr": 0.1})
    assert (first.number, first.overrides, first.state, first.params) == (
        0,
        ("lr=0.1", "model=a"),
        "pending",
        {"lr": 0.1},
    )
    assert (first.values, first.attempts, first.owner, first.sampled, first.seconds) == (None, 0, None, False, None)
    other = again(ledger)
    assert other.add(["lr=0.2", "model=a"]).number == 1
    assert ledger.add(["model=a", "lr=1e-1"]) == first
    assert ledger.add(["lr=0.2", "model=a"]).number == 1
    assert ledger.add(["lr=0.2", "model=a"], key="another").number == 2
    assert [job.number for job in other.jobs()] == [0, 1, 2]
    assert ledger.jobs() == other.jobs()
    assert ledger.job(0) == first
    with pytest.raises(KeyError):
        ledger.job(3)


def test_the_common_overrides_belong_to_a_job(ledger):
    first = ledger.add(["lr=0.1"])
    assert ledger.add(["lr=0.1", "seed=1"]).number == 0
    assert ledger.add(["lr=0.1", "seed=2"]).key != first.key


def test_what_was_drawn_survives_and_other_tools_see_it(ledger):
    lr, model = FloatDistribution(1e-6, 1, log=True), CategoricalDistribution(("a", "b"))
    params = {"lr": 1 / 3 * 1e-5, "model": "b"}
    added = ledger.add(["lr=1", "model=b"], params, {"lr": lr, "model": model}, {"cma:x": "0f" * 4000})
    assert added.sampled
    job = again(ledger).job(0)
    assert job.params == params
    assert job.system_attrs == {"cma:x": "0f" * 4000}
    assert ledger._study.trials[0].params == params
    more = CategoricalDistribution(("a", "b", "c"))  # Optuna refuses other choices of the same name
    ledger.add(["lr=2", "model=c"], {"lr": 0.5, "model": "c"}, {"lr": lr, "model": more})
    assert again(ledger).job(1).params == {"lr": 0.5, "model": "c"}
    assert ledger._study.trials[1].params == {"lr": 0.5}


def test_the_life_of_a_job(ledger):
    ledger.add(["lr=1"])
    before = time.time()
    assert ledger.claim(0, ME)
    job = again(ledger).job(0)
    assert (job.state, job.owner, job.attempts, job.folder) == ("running", ME, 1, None)
    assert before <= job.started <= time.time()
    assert not again(ledger).claim(0, replace(ME, pid=1))
    assert not ledger.claim(0, ME)
    for step, value in ((0, 0.5), (2, 0.25), (1, 0.75), (2, math.nan)):
        assert ledger.report(0, step, value)
    assert ledger.finish(0, [1 / 3], 12.5)
    done = again(ledger).job(0)
    assert (done.state, done.values, done.seconds, done.error, done.attempts) == ("done", (1 / 3,), 12.5, None, 1)
    assert list(done.intermediate) == [0, 1, 2]
    assert done.intermediate[1] == 0.75
    assert math.isnan(done.intermediate[2])


def test_nothing_changes_a_job_that_is_finished(ledger):
    ledger.add(["lr=1"])
    ledger.claim(0, ME)
    ledger.finish(0, [0.5], 1.0)
    done = ledger.job(0)
    other = again(ledger)
    assert not other.finish(0, [0.9], 2.0)
    assert not other.prune(0, 0.9, 2.0)
    assert not other.fail(0, "late", 2.0)
    assert not other.report(0, 7, 0.9)
    assert not other.claim(0, ME)
    assert not other.release(0)
    assert not other.reopen(0)
    assert ledger.job(0) == again(ledger).job(0) == done


def test_a_job_of_a_dead_process_is_taken_over_with_its_number(ledger):
    ledger.add(["lr=1"])
    assert ledger.claim(0, DEAD)
    ledger.report(0, 0, 0.5)
    assert not ledger.is_alive(ledger.job(0))
    assert again(ledger).claim(0, ME)
    job = ledger.job(0)
    assert (job.number, job.state, job.attempts, job.owner, job.intermediate) == (0, "running", 2, ME, {0: 0.5})
    assert ledger.is_alive(job)
    assert not ledger.claim(0, ME)
    assert len(ledger.jobs()) == 1


def test_a_job_elsewhere_lives_as_long_as_its_heartbeat(ledger, tmp_path):
    elsewhere = replace(ME, host="node7", system="another", pid=1)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for number, place in enumerate([None, folder]):
        ledger.add([f"lr={number}"])
        ledger.claim(number, elsewhere, place)
        file = ledger.file.parent / ledger.job(number).heartbeat_file
        assert file == (ledger.file.parent / "0" if place is None else folder) / ".alive"
        file.parent.mkdir(exist_ok=True)
        file.touch()
        assert not again(ledger).claim(number, ME)
        os.utime(file, (time.time() - 61, time.time() - 61))
        assert again(ledger).claim(number, ME)


def test_a_folder_in_the_sweep_moves_with_it(ledger):
    ledger.add(["lr=1"])
    ledger.claim(0, DEAD, ledger.file.parent / "0_sgd")
    assert ledger.job(0).folder == "0_sgd"
    moved = ledger.file.parent.with_name("moved")
    ledger.file.parent.rename(moved)
    assert Ledger.open(moved / ledger.file.name).job(0).folder == "0_sgd"


def test_a_released_job_is_pending_as_if_it_had_not_been_started(ledger):
    ledger.add(["lr=1"])
    ledger.claim(0, ME)
    ledger.report(0, 0, 0.5)
    assert ledger.release(0)
    job = again(ledger).job(0)
    assert (job.state, job.attempts, job.owner, job.intermediate) == ("pending", 0, None, {0: 0.5})
    assert not ledger.release(0)
    assert again(ledger).claim(0, ME)
    assert ledger.job(0).attempts == 1


def test_a_failed_job_is_opened_again_with_its_number(ledger):
    lr = {"lr": FloatDistribution(0, 1)}
    ledger.add(["lr=1"], {"lr": 1.0}, lr, {"a": "b"})
    ledger.add(["lr=2"])
    ledger.claim(0, ME)
    ledger.report(0, 0, 0.5)
    assert ledger.fail(0, "\nRuntimeError: a bug\nTraceback", 3.0)
    failed = again(ledger).job(0)
    assert (failed.state, failed.error, failed.seconds, failed.attempts) == ("failed", "RuntimeError: a bug", 3.0, 1)
    assert not ledger.claim(0, ME)
    other = again(ledger)
    assert other.reopen(0)
    assert not other.reopen(0)
    job = ledger.job(0)
    assert (job.number, job.key, job.state, job.attempts) == (0, failed.key, "pending", 0)
    assert (job.params, job.sampled, job.intermediate, job.error) == ({"lr": 1.0}, True, {0: 0.5}, None)
    assert job.system_attrs == {"a": "b"}
    assert [(job.number, job.state) for job in ledger.jobs()] == [(0, "pending"), (1, "pending")]
    assert ledger.add(["lr=1"]).number == 0
    assert ledger.add(["lr=3"]).number == 2
    assert ledger.claim(0, ME)
    assert ledger.finish(0, [0.5], 1.0)
    assert again(ledger).job(0).state == "done"


@pytest.mark.parametrize("value", [0.25, math.nan])
def test_a_pruned_job_keeps_its_score(ledger, value):
    ledger.add(["lr=1"])
    ledger.claim(0, ME)
    ledger.report(0, 0, 0.25)
    assert ledger.prune(0, value, 2.0)
    job = again(ledger).job(0)
    assert (job.state, job.seconds, job.intermediate) == ("pruned", 2.0, {0: 0.25})
    assert job.values == (None if math.isnan(value) else (0.25,))


def test_a_refused_job_is_done_with_nan_and_stays_so(file):
    ledger = Ledger.create(file, Settings(directions=("maximize", "minimize")))
    ledger.add(["lr=1"])
    ledger.claim(0, ME)
    assert ledger.finish(0, [math.nan, 2.0], 1.5)
    job = again(ledger).job(0)
    assert (job.state, job.seconds, job.error) == ("done", 1.5, None)
    assert math.isnan(job.values[0])
    assert job.values[1] == 2.0
    assert not ledger.finish(0, [1.0, 1.0], 1.0)
    assert not ledger.reopen(0)


def test_infinite_scores_survive(ledger):
    for number, value in enumerate([math.inf, -math.inf]):
        ledger.add([f"lr={number}"])
        assert ledger.finish(number, [value], 1.0)
    assert [job.values for job in again(ledger).jobs()] == [(math.inf,), (-math.inf,)]


@pytest.mark.parametrize(
    ("pruner", "options", "pruned"),
    [
        ("none", {}, []),
        ("median", {"n_startup_trials": 4}, [0.0, 0.1, 0.2]),
        ("percentile", {"n_startup_trials": 4}, [0.0, 0.1, 0.2, 0.3]),  # the best quarter is kept
        ("percentile", {"percentile": 75, "n_startup_trials": 4}, [0.0, 0.1]),
        ("median", {"n_startup_trials": 6}, []),
    ],
)
def test_pruners_stop_what_is_worse_than_the_others_were(tmp_path, pruner, options, pruned):
    ledger = Ledger.create(tmp_path / "ledger.journal", Settings(pruner=pruner, pruner_options=options))
    for number in range(5):
        ledger.add([f"lr={number}"])
        ledger.report(number, 0, number / 10)
        ledger.finish(number, [1.0], 1.0)
    stopped = []
    for value in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        number = ledger.add([f"lr={value + 100}"]).number
        ledger.claim(number, ME)
        ledger.report(number, 0, value - 0.001)
        if again(ledger).should_prune(number):
            stopped.append(value)
    assert stopped == pruned


def test_hyperband_stops_some_and_directions_count(file):
    options = {"min_resource": 1, "max_resource": 9, "reduction_factor": 3}
    ledger = Ledger.create(file, Settings(directions=("minimize",), pruner="hyperband", pruner_options=options))
    stopped = []
    for number in range(12):
        ledger.add([f"lr={number}"])
        ledger.claim(number, ME)
        job_side = again(ledger)
        for step in range(9):
            job_side.report(number, step, float(number))  # each is worse than all before it
            if job_side.should_prune(number):
                stopped.append(number)
                ledger.prune(number, float(number), 1.0)
                break
        else:
            ledger.finish(number, [float(number)], 1.0)
    assert 3 <= len(stopped) < 12
    assert 0 not in stopped
    assert {job.number for job in ledger.jobs() if job.state == "pruned"} == set(stopped)


def test_nothing_is_pruned_for_several_metrics(file):
    ledger = Ledger.create(file, Settings(directions=("maximize", "minimize"), pruner="median"))
    ledger.add(["lr=1"])
    assert not ledger.should_prune(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(pruner="mean"), "sweep.pruner=mean is none of none, median.*'median'"),
        (
            Settings(pruner="median", pruner_options={"warmup": 1}),
            "pruner_options.warmup is no option of sweep.pruner=median",
        ),
        (Settings(pruner="percentile", pruner_options={"percentile": 101}), "sweep.pruner_options: .*100"),
    ],
)
def test_pruners_that_there_are_not(file, settings, message):
    with pytest.raises(UserError, match=message):
        Ledger.create(file, settings)
    assert not file.exists()


def test_files_that_are_no_ledger(tmp_path, file):
    with pytest.raises(UserError, match=r"no ledger of a sweep at .*ledger\."):
        Ledger.open(file)
    with pytest.raises(UserError, match=r"ledger.csv is no name of a ledger: it ends in .db .* or .journal"):
        Ledger.create(tmp_path / "ledger.csv", SETTINGS)
    file.parent.mkdir()
    file.touch()
    with pytest.raises(UserError, match="holds no sweep"):
        Ledger.open(file)
    assert Ledger.create(file, SETTINGS).add(["lr=1"]).number == 0


TORN = [b'{"op_code":4,"worker', b"\0\0\0\0", b'{"op_code":4}\0\0', b"x" * 200_000, '{"a":"ü'.encode()[:-1]]


@pytest.mark.parametrize("torn", [*TORN, b"\0\0\0\0\n"])
def test_a_journal_whose_writer_died_is_mended_when_it_is_opened(tmp_path, torn):
    ledger = Ledger.create(tmp_path / "ledger.journal", SETTINGS)
    ledger.add(["lr=1"])
    whole = ledger.file.read_bytes()
    ledger.file.write_bytes(whole + torn)
    assert [job.number for job in again(ledger).jobs()] == [0]
    assert ledger.file.read_bytes() == whole


@pytest.mark.parametrize("torn", TORN)
def test_a_journal_whose_writer_died_is_mended_by_the_next_writer(tmp_path, torn):
    ledger = Ledger.create(tmp_path / "ledger.journal", SETTINGS)
    ledger.add(["lr=1"])
    whole = ledger.file.read_bytes()
    with open(ledger.file, "ab") as journal:
        journal.write(torn)
    assert [job.number for job in ledger.jobs()] == [0]
    assert ledger.add(["lr=2"]).number == 1
    assert ledger.file.read_bytes().startswith(whole + b"{")
    assert [job.overrides for job in again(ledger).jobs()] == [("lr=1",), ("lr=2",)]


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{}\n{"a":1}\n', b'{"a":"' + b"x" * 200_000 + b'"}\n'])
def test_a_whole_journal_stays_as_it_is(tmp_path, content):
    file = tmp_path / "ledger.journal"
    file.write_bytes(content)
    heal(file)
    assert file.read_bytes() == content


def test_the_lock_is_taken_again_by_its_thread_only(tmp_path):
    lock, other = lock_of(tmp_path / "ledger.db"), lock_of(tmp_path / "ledger.db")
    with lock, lock:
        pass
    with other:
        held = _child_waits_for(other.file)
    assert held
    assert not _child_waits_for(other.file)


def _child_waits_for(file):
    """Say whether another process has to wait for a lock."""
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    return (
        subprocess.run([sys.executable, "-c", code, str(file)], stderr=subprocess.DEVNULL, check=False).returncode != 0
    )


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(UserError, match=r"has no file locks \(Function not implemented\)"):
        Ledger.create(tmp_path / "ledger.db", SETTINGS)


def test_a_reader_that_takes_its_time_makes_a_writer_wait_only(tmp_path):
    """SQLite's own locks: other tools know nothing of the ledger's."""
    ledger = Ledger.create(tmp_path / "ledger.db", SETTINGS)
    ledger.add(["lr=1"])
    reader = sqlite3.connect(ledger.file, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM trials").fetchone()
    timer = Timer(0.3, reader.close)
    timer.start()
    assert ledger.finish(0, [0.5], 1.0)
    timer.join()
    assert again(ledger).job(0).state == "done"
