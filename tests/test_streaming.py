"""Shards from end to end: write-shards, and the other commands on what it wrote."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from fake import planet
from test_resume import SETTINGS, Stopped, assert_equal_runs, stop_at

from polytag.data.streaming import read_shards

SHARD = "shard_mb=0.01"


@pytest.fixture
def shards(call, csv_data, tmp_path):
    done = call("write-shards", "data=csv", f"data.root={csv_data}", f"out={tmp_path / 'shards'}", SHARD)
    assert done.code == 0, done.err
    assert f"train data=streaming data.root={tmp_path / 'shards'}" in done.out
    assert len(list((tmp_path / "shards").glob("*.bin"))) > 3
    return tmp_path / "shards"


def predictions(folder: Path) -> dict[str, list[str]]:
    with open(folder / "predictions.csv", newline="") as file:
        return {row[0]: row[1:] for row in list(csv.reader(file))[1:]}


def test_a_run_scores_shards_as_it_scores_the_files(call, finished_run, shards, tmp_path):
    for name, data in {"files": (), "near": (f"data.root={shards}",), "far": (f"data.root=local:{shards}",)}.items():
        options = ("data=streaming", *data) if data else ()
        done = call("evaluate", f"run={finished_run}", "split=val", *options, f"out={tmp_path / name}")
        assert done.code == 0 and "on the 5 images of split=val" in done.out, done.err
    assert len(predictions(tmp_path / "files")) == 5
    assert predictions(tmp_path / "files") == predictions(tmp_path / "near") == predictions(tmp_path / "far")


def losses(run: Path) -> list[float]:
    with open(run / "metrics.csv", newline="") as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_run_on_far_shards_goes_on_inside_an_epoch(call, shards, tmp_path, monkeypatch, workers):
    options = (*SETTINGS, "data=streaming", f"data.root=local:{shards}", "data.window=2", f"data.num_workers={workers}")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = call("train", *options, f"hydra.run.dir={whole}")
    assert done.code == 0, done.err
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 2, 3)
        with pytest.raises(Stopped):
            call("train", *options, f"hydra.run.dir={parts}", f"data.shard_cache={tmp_path / 'empty'}")
    done = call("train", *options, f"hydra.run.dir={parts}")
    assert done.code == 0, done.err
    assert_equal_runs(whole, parts)


def test_features_are_computed_once(call, shards, tmp_path):
    options = (*TINY, "data=streaming", f"data.root={shards}", "recipe=linear_probe", "recipe.image_size=32")
    for precompute in ("true", "false"):
        run = ("recipe.epochs=3", f"recipe.precompute={precompute}", f"hydra.run.dir={tmp_path / precompute}")
        assert call("train", *options, *run).code == 0
    one, other = (losses(tmp_path / precompute) for precompute in ("true", "false"))
    assert len(one) == 3 and np.allclose(one, other, atol=1e-5)


def test_the_shards_are_checked_like_files(call, shards, tmp_path):
    done = call("check-data", "data=streaming", f"data.root={shards}", "out=problems.csv")
    assert done.code == 0, done.err
    assert "24 images: no problems" in done.out


def test_broken_images_cannot_be_left_out_of_shards(call, shards):
    done = call("train", *TINY, "data=streaming", f"data.root={shards}", "data.on_broken=drop")
    assert done.code == 2 and "data.on_broken=drop are for files" in done.err and "write the shards again" in done.err


def test_shards_are_not_sampled_by_class(call, shards):
    done = call("train", *TINY, "data=streaming", f"data.root={shards}", "data.sampling=class_aware")
    assert done.code == 2 and "lie in shards: data.sampling=shuffled, or train on the files" in done.err


def test_tiff_chips_are_written_as_they_are_decoded(call, tmp_path):
    planet.make_planet(tmp_path / "data", rows=6, suffix=".tif")
    data = ("data=planet", f"data.root={tmp_path / 'data'}", "data.suffix=.tif", "data.val_fraction=0.5")
    assert call("write-shards", *data, "out=shards").code == 0
    from polytag.data.planet import read_planet

    source = read_planet(str(tmp_path / "data"), suffix=".tif")
    table = read_shards(str(tmp_path / "shards"), "unused")
    row_of = {name: row for row, name in enumerate(source.names)}
    assert all(np.array_equal(table.read(row), source.read(row_of[name])) for row, name in enumerate(table.names))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "out is not set"),
        (("out=.",), "exists already. Name a new folder."),
        (("out=new", "shard_mb=0"), "shard_mb=0 must be a number above 0"),
        (("out=new", "shard_mb=many"), "shard_mb=many must be a number above 0"),
        (("out=s3://bucket/new",), "out=s3://bucket/new must be a folder: copy it there"),
        (("out=new", "data=streaming", "data.root=null"), "data.root is not set"),
        (
            ("out=new", "data=streaming", "data.root=http://x/y"),
            "data.root=http://x/y: shards are read from folders and",
        ),
        (("out=new", "data=streaming", "data.root=.", "data.window=few"), "data.window=few must be a number"),
        (("out=new", "data=streaming"), "data.root is not set"),
        (("out=new", "data=streaming", "data.root=local:nowhere"), "local:/{}/nowhere/index.json cannot be fetched"),
    ],
)
def test_mistakes_are_one_line(call, tmp_path, arguments, words):
    (tmp_path / "something").touch()
    done = call("write-shards", *arguments)
    assert done.code == 2 and words.format(str(tmp_path)[1:]) in done.err and not (tmp_path / "new").exists()
