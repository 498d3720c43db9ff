"""`train -m`: what a user of sweeps sees, from the plan to the last table."""

import csv
from pathlib import Path

import pytest
from conftest import TINY

from polytag.models.classifier import Classifier
from polytag.run_folder import RunFolder
from polytag.sweep.ledger import Ledger

SHORT = ("recipe=one_stage", "recipe.image_size=32", "recipe.epochs=1", "callbacks=none", "sweep.estimate=false")
SEARCH = ("recipe.lr=tag(log,interval(1e-4,1e-1))", "optimizer=adamw,sgd")


@pytest.fixture
def sweep(call, csv_data):
    """Return a function that calls `train -m` with little to train, for a sweep named `s`."""

    def run(*overrides):
        return call("train", "-m", *TINY, "data=csv", f"data.root={csv_data}", *SHORT, "sweep.name=s", *overrides)

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "logs/sweep/s"


def table_of(folder):
    with open(folder / "sweep.csv", newline="") as file:
        return list(csv.DictReader(file))


def states(folder):
    return [job.state for job in Ledger.open(folder / "ledger.db").jobs()]


def breaking(monkeypatch, seeds):
    """Let trainings with these seeds fail in their first step."""
    step = Classifier.training_step

    def broken(self, batch, batch_idx):
        if int(Path(self.trainer.default_root_dir).name) in seeds:
            raise RuntimeError("a bug\nand its details")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", broken)


def test_a_grid_has_a_table_of_scores_and_the_same_command_again_runs_nothing(sweep, folder):
    done = sweep("seed=1,2", "optimizer=adamw,sgd")
    assert done.code == 0, done.err
    assert "Sweep s: 4 jobs, 1 epoch each." in done.out
    rows = table_of(folder)
    assert list(rows[0]) == ["job", "state", "score", "seconds", "overrides"]
    assert [row["overrides"] for row in rows] == [
        "seed=1 optimizer=adamw",
        "seed=1 optimizer=sgd",
        "seed=2 optimizer=adamw",
        "seed=2 optimizer=sgd",
    ]
    for row in rows:
        run = RunFolder(folder / row["job"])
        assert row["state"] == "done" and float(row["seconds"]) > 0
        assert float(row["score"]) == run.read_summary()["monitor"]["best"]
        assert f"seed={run.read_config().seed}" in row["overrides"].split()
    best = max(rows, key=lambda row: float(row["score"]))
    assert f"best {float(best['score']):.4f} of job {best['job']}" in done.out
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.ckpt")}
    again = sweep("seed=1,2", "optimizer=adamw,sgd")
    assert again.code == 0 and "4 jobs, 4 of them done" in again.out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.ckpt")} == before
    assert table_of(folder) == rows


def test_more_values_are_more_jobs_and_those_done_keep_their_numbers(sweep, folder):
    assert sweep("seed=2").code == 0
    done = sweep("seed=1,2,3")
    assert "3 jobs, 1 of them done" in done.out
    assert [(row["job"], row["overrides"]) for row in table_of(folder)] == [
        ("0", "seed=2"),
        ("1", "seed=1"),
        ("2", "seed=3"),
    ]


def test_one_failure_does_not_stop_the_others_and_may_be_tried_again(sweep, folder, monkeypatch):
    with monkeypatch.context() as patch:
        breaking(patch, {1})
        done = sweep("seed=1,2,3")
    assert done.code == 1
    assert states(folder) == ["done", "failed", "done"]
    assert "3 jobs: 2 done, 1 failed" in done.out
    assert f"job 1 failed: RuntimeError: a bug (see {folder / '1'})" in done.out
    assert "and its details" in (folder / "1/train.log").read_text()
    again = sweep("seed=1,2,3")
    assert again.code == 1 and states(folder) == ["done", "failed", "done"]
    mended = sweep("seed=1,2,3", "sweep.retry_failed=true")
    assert mended.code == 0 and states(folder) == ["done"] * 3
    assert [row["job"] for row in table_of(folder)] == ["0", "1", "2"]


@pytest.mark.slow
def test_a_sweep_may_stop_at_the_first_failure(sweep, folder, monkeypatch):
    with monkeypatch.context() as patch:
        breaking(patch, {1})
        done = sweep("seed=1,2,3", "sweep.on_error=stop")
    assert done.code == 1 and states(folder) == ["done", "failed", "pending"]
    assert sweep("seed=1,2,3").code == 1 and states(folder) == ["done", "failed", "done"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.head=linear,liner",), "with model.head=liner: "),
        (("optimizer=adamw,sdg",), "with optimizer=sdg: There is no optimizer=sdg. Did you mean 'sgd'?"),
        (("criterion=bce,grouped_softmax",), "with criterion=grouped_softmax: data.exclusive_groups is empty"),
        (("data.file=labels.csv,label.csv",), "with data.file=label.csv: There is no"),
        (("policy.threshold=0.5,2",), "with policy.threshold=2: policy.threshold=2 is no probability"),
        (("data.root=a,b",), "data.root is varied, and has a value for all jobs too"),
        (("recipe.lr=interval(1e-4,1e-1)",), "The values of an interval cannot all be tried: how many jobs?"),
        (("recipe.lr=interval(1,0)", "sweep.trials=3"), "recipe.lr"),
        (("seed=1,2", "sweep.sampler=grd"), "sweep.sampler=grd is none of auto, grid, random, tpe, cma_es"),
        (("seed=1,2", "sweep.trials=2", "sweep.pruner=medain"), "Did you mean 'median'?"),
        (("seed=1,2", "sweep.pruner_options={warmup: 1}"), "is no option of sweep.pruner=none: it has none"),
        (("seed=1,2", "sweep.trials=2", "sweep.sampler_options={a: 1}"), "is no option of sweep.sampler=tpe: "),
        (("sweep.trials=2",), "sweep.trials=2 asks for a search, and nothing is varied"),
        (("seed=1,2", "sweep.retries=-1"), "sweep.retries=-1"),
        (("seed=1,2", "monitor=val/loss"), "monitor.metric=NAME"),
        (("seed=1,2", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"), "launcher=processes"),
        (("seed=1,2", "sweep.resume=other"), "There is no sweep other"),
    ],
)
def test_a_mistake_in_any_job_is_found_before_the_first_one_starts(sweep, folder, overrides, message):
    done = sweep(*overrides)
    assert done.code == 2
    assert message in done.err and len(done.err.strip().splitlines()) == 1
    assert not folder.exists() or not list(folder.rglob("*.ckpt"))


def test_a_dry_run_only_plans(sweep, folder):
    done = sweep("seed=1,2,3", "dry_run=true", "sweep.estimate=true")
    assert done.code == 0, done.err
    assert "Sweep s: 3 jobs, 1 epoch each, about " in done.out and " of training. Folder:" in done.out
    assert not list(folder.glob("[0-9]*")) and not (folder / "ledger.db").exists()


def params(folder):
    return [dict(job.params) for job in Ledger.open(folder / "ledger.db").jobs()]


@pytest.mark.slow
def test_a_search_goes_on_to_its_total_as_if_it_had_not_been_stopped(sweep, folder, tmp_path):
    whole = sweep(*SEARCH, "sweep.trials=4", "sweep.seed=3", "sweep.name=whole")
    assert whole.code == 0, whole.err
    assert sweep(*SEARCH, "sweep.trials=2", "sweep.seed=3").code == 0
    done = sweep(*SEARCH, "sweep.trials=4", "sweep.seed=3")
    assert done.code == 0 and "4 jobs, 2 of them done" in done.out
    assert states(folder) == ["done"] * 4
    assert params(folder) == params(tmp_path / "logs/sweep/whole")
    assert len({str(one) for one in params(folder)}) == 4
    for one, row in zip(params(folder), table_of(folder), strict=True):
        assert RunFolder(folder / row["job"]).read_config().recipe.lr == one["recipe.lr"]


def test_the_name_of_a_sweep_is_enough_to_go_on_with_it(sweep, call, folder, monkeypatch):
    with monkeypatch.context() as patch:
        breaking(patch, {1})
        sweep("seed=1,2,3", "sweep.on_error=stop")
    done = call("train", "-m", "sweep.resume=s", "sweep.retry_failed=true", "sweep.on_error=continue")
    assert done.code == 0, done.err
    assert states(folder) == ["done"] * 3
    assert RunFolder(folder / "2").read_config().model.backbone == "test_resnet"


def test_a_search_with_other_settings_is_another_sweep(sweep, folder):
    assert sweep(*SEARCH, "sweep.trials=1").code == 0
    other = sweep(*SEARCH, "sweep.trials=2", "seed=7")
    assert other.code == 2 and "The search s was started with" in other.err
    grid = sweep("seed=1,2")
    assert grid.code == 2 and "The sweep s is a search, and this command asks for a grid" in grid.err
    judged = sweep(*SEARCH, "sweep.trials=2", "monitor.metric=val/f2")
    assert judged.code == 2 and "The sweep s is judged by val/map" in judged.err
    assert states(folder) == ["done"]


def test_jobs_that_are_worse_than_others_are_pruned(sweep, folder):
    # The first job learns, the second cannot: after one epoch its loss is worse than the median, which is the first's.
    rates = ("recipe.lr=1e-2,1e-12", "recipe.epochs=3", "monitor.metric=val/loss", "monitor.mode=min")
    median = ("sweep.pruner=median", "sweep.pruner_options={n_startup_trials:1}")
    done = sweep(*rates, *median)
    assert done.code == 0, done.err
    assert states(folder) == ["done", "pruned"]
    pruned = Ledger.open(folder / "ledger.db").job(1)
    history = RunFolder(folder / "1").read_history()
    assert len(history) == len(pruned.intermediate) < 3
    assert pruned.values == (pytest.approx(min(float(row["val/loss"]) for row in history), rel=1e-6),)
    assert "1 done, 1 pruned" in done.out
    assert not (folder / "1/summary.json").exists()  # it may go on by itself
    assert sweep(*rates, *median).code == 0 and states(folder) == ["done", "pruned"]


@pytest.mark.slow
def test_a_pruned_job_goes_on_as_a_run_of_its_own(sweep, call, folder):
    rates = ("recipe.lr=1e-2,1e-12", "recipe.epochs=3", "monitor.metric=val/loss", "monitor.mode=min")
    assert sweep(*rates, "sweep.pruner=median", "sweep.pruner_options={n_startup_trials:1}").code == 0
    done = call("train", f"resume={folder / '1'}")
    assert done.code == 0, done.err
    assert len(RunFolder(folder / "1").read_history()) == 3
    assert states(folder) == ["done", "pruned"]


@pytest.mark.slow
def test_two_objectives(sweep, folder):
    both = "sweep.objectives=[{metric: val/map, mode: max}, {metric: val/loss, mode: min}]"
    done = sweep(*SEARCH, "sweep.trials=2", both)
    assert done.code == 0, done.err
    rows = table_of(folder)
    assert list(rows[0]) == ["job", "state", "score", "seconds", "overrides", "val/loss"]
    for row in rows:
        run = RunFolder(folder / row["job"])
        monitor = run.read_summary()["monitor"]
        of_best = run.read_history()[monitor["epoch"]]
        assert (float(row["score"]), row["val/loss"]) == (monitor["best"], repr(float(of_best["val/loss"])))
    wrong = sweep(*SEARCH, "sweep.trials=2", both.replace("val/loss", "val/los"), "sweep.name=w")
    assert wrong.code == 2 and "Did you mean 'val/loss'" in wrong.err


@pytest.mark.slow
def test_lists_of_jobs_and_conditions(sweep, folder):
    jobs = "sweep.jobs=[['seed=1','optimizer=sgd'],['seed=2']]"
    assert sweep(jobs).code == 0
    assert [row["overrides"] for row in table_of(folder)] == ["seed=1 optimizer=sgd", "seed=2"]
    condition = "sweep.conditions=[{when: {optimizer: sgd}, params: {optimizer.momentum: '0.5,0.9'}}]"
    assert sweep("optimizer=adamw,sgd", condition, "sweep.name=c").code == 0
    assert [row["overrides"] for row in table_of(folder.parent / "c")] == [
        "optimizer=adamw",
        "optimizer=sgd optimizer.momentum=0.5",
        "optimizer=sgd optimizer.momentum=0.9",
    ]


@pytest.mark.slow
def test_hydras_own_sweeper_is_still_there(sweep, folder):
    done = sweep("seed=1,2", "hydra/sweeper=basic")
    assert done.code == 0, done.err
    assert [RunFolder(folder / str(job)).read_config().seed for job in (0, 1)] == [1, 2]
    assert not (folder / "ledger.db").exists()
