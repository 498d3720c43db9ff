"""Each source, end to end on generated images: train, evaluate, predict."""

import json

import pytest
from conftest import TINY
from fake import csv, folder, miml, pascal, planet

RECIPE = ("recipe.image_sizes=[32,40]", "recipe.epochs=[1,1]", "transforms=dihedral", "callbacks=none")


def make_voc(root):
    objects = {f"{i:06d}": [(("cat", "dog", "car")[i % 3], i % 4 == 0)] for i in range(1, 13)}
    names = list(objects)
    pascal.make_voc(root, objects, {"train": names[:9], "val": names[9:]})


MAKERS = {
    "csv": (csv.make_csv, ()),
    "folder": (folder.make_folder, ()),
    "miml": (miml.make_miml, ()),
    "planet": (planet.make_planet, ()),
    "planet-tif": (lambda root: planet.make_planet(root, suffix=".tif"), ("data.suffix=.tif",)),
    "pascal": (pascal.make_fastai, ()),
    "pascal-voc": (make_voc, ("data.layout=voc",)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_train_evaluate_and_predict(call, tmp_path, name):
    make, options = MAKERS[name]
    root, run = tmp_path / "data", tmp_path / "run"
    make(root)
    data = (f"data={name.split('-')[0]}", f"data.root={root}", *options)
    done = call("train", *(t for t in TINY if t != "transforms=none"), *data, *RECIPE, f"hydra.run.dir={run}")
    assert done.code == 0, done.err
    done = call("evaluate", f"run={run}", "split=all", f"out={tmp_path / 'scores'}")
    assert done.code == 0, done.err
    scored = json.loads((tmp_path / "scores/summary.json").read_text())
    done = call("predict", f"run={run}", f"source={root}", f"out={tmp_path / 'p.csv'}")
    assert done.code == 0, done.err
    assert len((tmp_path / "p.csv").read_text().splitlines()) - 1 >= scored["images"] - 1


def test_digits_need_nothing(call, tmp_path):
    options = ("data.train_scenes=12", "data.val_scenes=6", "data.scene_size=32", f"paths.data={tmp_path}")
    done = call(
        "train", *TINY, *options, "recipe.image_sizes=[32]", "recipe.epochs=[1,1]", f"hydra.run.dir={tmp_path / 'run'}"
    )
    assert done.code == 0, done.err
    assert "nothing" in done.out and "frequency" in done.out
    assert str(tmp_path / "run") in done.out


def test_a_single_label_table_is_said_to_be_one(call, tmp_path):
    make_voc(tmp_path / "data")
    data = ("data=pascal", "data.layout=voc", f"data.root={tmp_path / 'data'}", "data.difficult=count")
    done = call("train", *TINY, *data, *RECIPE[:2], f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    assert "exactly one label" in done.out


def test_missing_files_are_counted_and_can_be_left_out(call, tmp_path):
    planet.make_planet(tmp_path / "data", rows=20)
    for row in range(15):
        (tmp_path / f"data/train-jpg/train_{row}.jpg").unlink()
    arguments = (
        "train",
        *TINY,
        "data=planet",
        f"data.root={tmp_path / 'data'}",
        *RECIPE[:2],
        f"hydra.run.dir={tmp_path / 'r'}",
    )
    done = call(*arguments)
    assert done.code == 2
    assert "15 of 20 images are missing" in done.err
    assert "train_0.jpg" in done.err
    assert "data.on_missing=drop goes on with the 5" in done.err
    done = call(*arguments, "data.on_missing=drop")
    assert done.code == 0, done.err
