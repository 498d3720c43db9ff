"""What is read of a run, whatever is left of its files."""

import json
import math

import pytest
from fake.runs import config_of, write_run

from polytag.comparison.row import read_row, read_rows


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", config_of(3), [0.2, 0.6, 0.5], [0.9, 0.4, 0.3])


def test_scores_are_those_of_the_best_epoch(run):
    row = read_row(run, "run")
    assert not row.broken
    assert (row.metric, row.mode, row.epoch, row.epochs) == ("val/map", "max", 2, 3)
    assert row.scores == {"val/map": 0.6, "val/f2": 0.3, "val/loss": 0.4}
    assert (row.speed, row.seconds) == (100, 60)
    assert row.config["recipe"]["lr"] == 0.01
    assert row.history["val/map"] == [0.2, 0.6, 0.5]
    assert row.remarks == ("predictions/val.csv is missing: no classes, bootstrap and images of it",)


def test_numbers_that_are_missing_are_not_guessed(run):
    (run / "summary.json").write_text(
        '{"monitor": {"metric": "val/map", "best": null, "epoch": null}, "val": {"a": "b"}}'
    )
    row = read_row(run, "run")
    assert (row.broken, row.epoch, dict(row.scores)) == ("", None, {})
    assert math.isnan(row.speed) and math.isnan(row.seconds)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.yaml", None, "config.yaml is missing"),
        ("config.yaml", "a: [1", "config.yaml is damaged"),
        ("config.yaml", "- 1", "config.yaml is damaged: it holds no settings"),
        ("config.yaml", b"\xff\xfe\x00", "config.yaml is damaged"),
        ("summary.json", None, "not finished after 3 epochs, val/map at best 0.6000"),
        ("summary.json", '{"monitor": {', "summary.json is damaged"),
        ("summary.json", "[]", "summary.json is damaged: it has no monitor"),
        ("summary.json", b"\xff", "summary.json is damaged"),
        ("summary.json", '{"monitor": {"metric": 3}}', "summary.json is damaged: it has no monitor"),
    ],
)
def test_a_broken_run_says_what_is_wrong(run, file, content, reason):
    (run / file).unlink()
    if content is not None:
        (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert reason in read_row(run, "run").broken


@pytest.mark.parametrize(
    ("change", "remark", "scores"),
    [
        (lambda text: text[:-9], "1 of its 3 rows left out", [0.2, 0.6]),
        (lambda text: text.replace("2,0,64", "x,0,64"), "1 of its 3 rows left out", [0.2, 0.6]),
        (lambda text: text.splitlines()[0], "metrics.csv is missing or empty", None),
        (lambda text: "\xff".encode("latin-1"), "metrics.csv is damaged", None),
    ],
)
def test_whole_rows_of_a_damaged_history_count(run, change, remark, scores):
    content = change((run / "metrics.csv").read_text())
    (run / "metrics.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    row = read_row(run, "run")
    assert not row.broken
    assert remark in row.remarks[0]
    assert row.history.get("val/map") == scores
    assert row.scores["val/map"] == 0.6


def test_a_history_without_the_best_epoch_is_named(run):
    header, first, *_ = (run / "metrics.csv").read_text().splitlines()
    (run / "metrics.csv").write_text(f"{header}\n{first}\n")
    row = read_row(run, "run")
    assert row.remarks[0] == "metrics.csv lacks the best epoch, 2: only its monitored score is known"
    assert row.scores["val/map"] == 0.6


def test_a_job_of_a_sweep_says_how_it_ended(run):
    (run / "summary.json").unlink()
    (run.parent / "sweep.csv").write_text("job,state,score,seconds,overrides\n2,done,0.1,1,\n3,pruned,0.2,1,a=1\n")
    assert read_row(run, "run").broken == "pruned after 3 epochs, val/map at best 0.6000"
    (run / "refused.json").write_text(json.dumps({"reason": "criterion.loss: no"}))
    assert read_row(run, "run").broken == "it refused its values: criterion.loss: no"


def test_a_run_that_did_not_start(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/train.log").touch()
    assert read_row(tmp_path / "run", "run").broken == "it stopped before its training"


def test_each_run_is_read_once_and_has_a_short_name(tmp_path, monkeypatch):
    for name in ("logs/train/a", "logs/sweep/b/0"):
        write_run(tmp_path / name, config_of(0), [0.5])
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "logs/train/a", tmp_path / "logs/sweep/b/0", tmp_path / "logs/train/../train/a"]
    assert [row.name for row in read_rows(paths)] == ["train/a", "sweep/b/0"]
