"""What `sweep=seeds` and `sweep=folds` say at their end."""

import csv
import os

import pytest

from polytag.run_folder import RunFolder
from polytag.sweep.heartbeat import this_process
from polytag.sweep.ledger import Ledger
from polytag.sweep.settings import Settings
from polytag.sweep.spread import groups_of, scores_of, spread, write_spread


def make_sweep(folder, jobs):
    """Make the ledger and the runs of a sweep: overrides, and the scores of each run that is finished."""
    ledger = Ledger.create(folder / "ledger.db", Settings(metrics=("val/map",)))
    for number, (overrides, scores) in enumerate(jobs):
        ledger.add(overrides)
        run = RunFolder(folder / str(number))
        run.path.mkdir()
        if scores is not None:
            ledger.claim(number, this_process(), run.path)
            monitor = {"metric": "val/map", "mode": "max", "best": scores.get("val/map")}
            test = {name: value for name, value in scores.items() if name.startswith("test/")}
            val = {name: value for name, value in scores.items() if name.startswith("val/")}
            run.write_json(run.summary_file, {"monitor": monitor, "val": val, **({"test": test} if test else {})})
            ledger.finish(number, [scores["val/map"] or float("nan")], 1.0)
    return ledger


def table_of(folder):
    with open(folder / "spread.csv", newline="") as file:
        return list(csv.DictReader(file))


# scipy is asked for the quantile; printed tables of Student's t have these, two-sided, 95 %: 12.706 for one degree of
# freedom, 2.776 for four, 2.262 for nine.
@pytest.mark.parametrize(
    ("values", "mean", "deviation", "half"),
    [
        ([0.7, 0.9], 0.8, 0.14142136, 12.706 * 0.1),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 1.58113883, 2.776 * 0.70710678),
        ([1.0] * 5 + [3.0] * 5, 2.0, 1.05409255, 2.262 * 0.33333333),
    ],
)
def test_the_interval_is_that_of_printed_tables(values, mean, deviation, half):
    one = spread("", "val/map", values)
    assert (one.mean, one.deviation) == (pytest.approx(mean), pytest.approx(deviation))
    assert one.low == pytest.approx(mean - half, abs=5e-4 * half)
    assert one.high == pytest.approx(mean + half, abs=5e-4 * half)
    assert (one.jobs, one.lowest, one.highest) == (len(values), min(values), max(values))


def test_one_run_has_no_interval():
    one = spread("", "val/map", [0.5])
    assert (one.mean, one.deviation, one.low, one.high, one.lowest, one.highest) == (0.5, None, None, None, 0.5, 0.5)


def test_every_score_of_both_splits_is_there_and_jobs_without_a_summary_are_counted(tmp_path, capsys):
    scores = [{"val/map": 0.7, "val/f2": 0.5, "test/map": 0.6}, {"val/map": 0.9, "val/f2": None, "test/map": 0.6}]
    make_sweep(tmp_path, [*((["recipe.lr=0.1", f"seed={i}"], one) for i, one in enumerate(scores)), (["seed=2"], None)])
    write_spread(tmp_path)
    rows = table_of(tmp_path)
    assert {row["group"] for row in rows} == {"recipe.lr=0.1"}
    assert [row["score"] for row in rows] == ["val/map", "val/f2", "test/map"]
    assert [float(row["mean"]) for row in rows] == pytest.approx([0.8, 0.5, 0.6])
    assert [row["jobs"] for row in rows] == ["2", "1", "2"]
    assert (rows[1]["deviation"], rows[1]["low"]) == ("", "")
    out = capsys.readouterr().out
    assert "recipe.lr=0.1: 2 of 2 jobs" in out
    assert "0 of 1 jobs finished: no spread." in out
    assert "-0.4706 to 2.0706" in out  # 0.8 -+ 12.706 * 0.1


def test_a_monitored_loss_is_there_too(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json(run.summary_file, {"monitor": {"metric": "val/loss", "best": 0.25}, "val": {"val/map": 0.5}})
    assert scores_of(run) == {"val/loss": 0.25, "val/map": 0.5}


def test_what_else_is_varied_makes_groups(tmp_path):
    jobs = [["optimizer=sgd", f"seed={seed}", "data.fold=1"] for seed in (0, 1)]
    jobs += [["optimizer=adamw", f"seed={seed}", "data.fold=1"] for seed in (0, 1)]
    ledger = make_sweep(tmp_path, [(overrides, None) for overrides in jobs])
    groups = groups_of(ledger.jobs())
    assert {name: [job.number for job in members] for name, members in groups.items()} == {
        "optimizer=sgd": [0, 1],
        "optimizer=adamw": [2, 3],
    }


def test_seeds_alone_are_one_group_without_a_name(tmp_path, capsys):
    make_sweep(tmp_path, [([f"seed={seed}"], {"val/map": 0.1 * seed}) for seed in range(1, 4)])
    os.rename(tmp_path / "2", tmp_path / "gone")
    write_spread(tmp_path)
    assert capsys.readouterr().out.startswith("2 of 3 jobs  ")
    assert {row["group"] for row in table_of(tmp_path)} == {""}
