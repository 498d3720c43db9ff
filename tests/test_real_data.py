"""The program on real photographs, in little. The folder is the one that POLYTAG_REAL_DATA names."""

import csv
import json
import os
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("POLYTAG_REAL_DATA" not in os.environ, reason="POLYTAG_REAL_DATA is not set"),
]


def real(*parts):
    return Path(os.environ["POLYTAG_REAL_DATA"], *parts).absolute()


def test_a_probe_on_300_scenes_learns_and_predicts(call, tmp_path):
    """The guess by label frequency scores a map of about 0.25; full-size probes reach 0.86 at 64 pixels."""
    run = tmp_path / "run"
    done = call(
        *("train", "data=miml", f"data.root={real('miml')}", "data.limit=300", "recipe=linear_probe", "trainer=cpu"),
        *("recipe.image_size=64", "recipe.epochs=6", "callbacks=none", "print_config=false", f"hydra.run.dir={run}"),
    )
    assert done.code == 0, done.err
    summary = json.loads((run / "summary.json").read_text())
    assert summary["val"]["val/map"] > 0.6
    assert summary["val"]["val/map"] > summary["baselines"]["val"]["label frequency"]["val/map"] + 0.3

    listed = tmp_path / "few.csv"
    listed.write_text("file\n1.jpg\n2.jpg\n1500.jpg\n")
    done = call(
        "predict", f"run={run}", f"source={listed}", f"root={real('miml', 'images')}", f"out={tmp_path / 'p.csv'}"
    )
    assert done.code == 0, done.err
    with open(tmp_path / "p.csv", newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["1.jpg", "2.jpg", "1500.jpg"]


def test_planet_with_5_of_its_40479_chips(call, tmp_path):
    arguments = (
        "train",
        "data=planet",
        f"data.root={real('planet')}",
        "trainer=cpu",
        "debug=fast",
        "print_config=false",
    )
    done = call(*arguments, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert "40,474 of 40,479 images are missing" in done.err
    assert "train_5.jpg, train_6.jpg" in done.err
    done = call(*arguments, "data.on_missing=drop", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    assert (tmp_path / "run/summary.json").exists()


def test_blood_cells_in_voc_layout(call, tmp_path):
    done = call(
        *("train", "data=pascal", "data.layout=voc", f"data.root={real('bccd', 'BCCD')}", "trainer=cpu", "debug=fast"),
        *("print_config=false", f"hydra.run.dir={tmp_path / 'run'}"),
    )
    assert done.code == 0, done.err
    assert "3 classes" in done.out


def test_pascal_is_whole(call, tmp_path):
    done = call("check-data", "data=pascal", f"data.root={real('pascal')}", f"out={tmp_path / 'problems.csv'}")
    assert done.code == 0, done.out
