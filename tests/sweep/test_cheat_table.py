"""The table of a sweep's folder, and the sweep that ends with it."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import TINY

from polytag.models.classifier import Classifier
from polytag.run_folder import RunFolder, write_predictions
from polytag.sweep.cheat_table import print_rows, read_rows, write_rows

SHORT = ("recipe.image_size=32", "recipe.epochs=1", "callbacks=none", "sweep.name=pairs")
BOTH = ("criterion.activation=sigmoid,softmax", "criterion.loss=bce,sparse_ce")
TARGETS = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], np.int8)
GUESSES = {name: {"val/map": 0.5, "val/accuracy": 0.5} for name in ("predict nothing", "label frequency")}


def sweep(call, csv_data, *options):
    return call("train", "-m", "sweep=activation_loss", *TINY, "data=csv", f"data.root={csv_data}", *SHORT, *options)


def table_of(folder):
    with open(folder / "cheat_table.csv", newline="") as file:
        return list(csv.DictReader(file))


def make_run(path, activation, loss, probabilities, scores):
    """Write what the table reads of a finished run."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.config_file.write_text(f"criterion: {{activation: {activation}, loss: {loss}}}\n")
    names = [f"{row}.png" for row in range(4)]
    write_predictions(folder.predictions("val"), names, ["a", "b"], np.array(probabilities), targets=TARGETS)
    summary = {"val": scores, "baselines": {"val": GUESSES}, "train_labels": {"a": 0.6, "b": 0.4}}
    folder.write_json(folder.summary_file, summary)


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a made-up sweep of four pairs."""
    right = [[0.9, 0.5], [0.8, 0.1], [0.2, 0.7], [0.1, 0.0]]
    make_run(tmp_path / "2_sigmoid_bce", "sigmoid", "bce", right, {"val/map": 1.0, "val/accuracy": 1.0})
    shares = [[0.49, 0.51], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
    make_run(tmp_path / "10_softmax_bce", "softmax", "bce", shares, {"val/map": 1.0, "val/accuracy": 0.75})
    make_run(tmp_path / "11_none_ce", "none", "ce", right, {"val/f2": 1.0})
    refused = {"criterion": {"activation": "softmax", "loss": "sparse_ce"}, "reason": "criterion.loss=sparse_ce is not"}
    RunFolder(tmp_path / "3_softmax_sparse_ce").write_json(tmp_path / "3_softmax_sparse_ce/refused.json", refused)
    (tmp_path / "4_stopped").mkdir()
    return tmp_path


def test_rows_come_in_the_order_of_the_jobs_with_what_the_runs_have_left(folder):
    rows = read_rows(folder)
    assert [(row.activation, row.loss, row.outcome) for row in rows] == [
        ("sigmoid", "bce", "learns"),
        ("softmax", "sparse_ce", "refused"),
        ("softmax", "bce", "ranks only"),
        ("none", "ce", "not judged"),
        ("predict nothing", "", "guess"),
        ("label frequency", "", "guess"),
    ]
    assert [(row.map, row.accuracy, row.labels, row.true_labels) for row in rows] == [
        (1.0, 1.0, 1.0, 1.0),
        (None, None, None, None),
        (1.0, 0.75, 1.0, 1.0),
        (None, None, None, None),
        (0.5, 0.5, 0.0, 1.0),
        (0.5, 0.5, 1.0, 1.0),  # the first label, for every image
    ]
    assert rows[0].reason == ""
    assert rows[1].reason == "criterion.loss=sparse_ce is not"
    assert rows[2].reason.startswith("No image gets two labels, and 25% have several. A softmax shares")
    assert rows[3].reason == "The run has no val/map and no val/accuracy."


def test_the_printed_table_fits_80_columns_and_equal_reasons_are_said_once(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copytree(folder / "3_softmax_sparse_ce", folder / "5_none_sparse_ce")
    print_rows(read_rows(folder))
    table, _, below = capsys.readouterr().out.partition("learns: ")
    assert max(len(line) for line in table.splitlines()) <= 80
    assert "(true 1.00)" in table
    assert [line.split() for line in table.splitlines() if "sigmoid" in line] == [
        ["sigmoid", "bce", "learns", "1.0000", "1.0000", "1.00"]
    ]
    assert below.count("criterion.loss=sparse_ce is not") == 1


def test_the_file_has_every_number(folder):
    write_rows(read_rows(folder), folder / "cheat_table.csv")
    rows = table_of(folder)
    assert (rows[0]["job"], rows[0]["map"], rows[0]["labels"], rows[0]["outcome"]) == (
        "2_sigmoid_bce",
        "1.0",
        "1.0",
        "learns",
    )
    assert (rows[1]["map"], rows[1]["reason"]) == ("", "criterion.loss=sparse_ce is not")


def test_the_sweep_ends_well_with_its_table_though_pairs_are_refused(call, csv_data, tmp_path):
    done = sweep(call, csv_data, *BOTH)
    assert done.code == 0, done.err
    folder = tmp_path / "logs/sweep/pairs"
    names = ["0_sigmoid_bce", "1_sigmoid_sparse_ce", "2_softmax_bce", "3_softmax_sparse_ce"]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [*names, "plots"]
    rows = table_of(folder)
    assert [row["job"] for row in rows] == [*names, "", ""]
    assert [row["outcome"] == "refused" for row in rows] == [False, True, False, True, False, False]
    assert "cannot hold several labels or none" in rows[1]["reason"]
    summary = json.loads((folder / "0_sigmoid_bce/summary.json").read_text())
    assert float(rows[0]["map"]) == summary["val"]["val/map"]
    assert "Activations and losses" in done.out
    again = sweep(call, csv_data, *BOTH)
    assert again.code == 0
    assert "4 of them done" in again.out
    assert table_of(folder) == rows


def test_an_unexpected_error_stays_one(call, csv_data, monkeypatch):
    def broken(self, batch, batch_idx):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Classifier, "training_step", broken)
    done = sweep(call, csv_data, "criterion.activation=sigmoid", "criterion.loss=sparse_ce,bce")
    assert done.code == 1
    assert "job 1 failed: RuntimeError: a bug" in done.out
    assert "1 done, 1 failed" in done.out


def test_a_mistake_that_is_not_about_the_pair_stays_an_error(call):
    done = call("train", "-m", "sweep=activation_loss", *TINY, "data=csv", "data.root=not_there", *SHORT, *BOTH)
    assert done.code == 2
    assert "No job is started" in done.err and "not_there" in done.err


@pytest.mark.slow
def test_all_nine_pairs(call, csv_data, tmp_path):
    done = sweep(call, csv_data)
    assert done.code == 0, done.err
    pairs = [(row["activation"], row["loss"]) for row in table_of(tmp_path / "logs/sweep/pairs")[:-2]]
    assert pairs == [(a, b) for a in ("none", "sigmoid", "softmax") for b in ("bce", "ce", "sparse_ce")]
