"""`train dry_run=true`: counts, estimated times, and that nothing is trained."""

import re

from conftest import TINY

from polytag.errors import UserError

SIZES = ("recipe.image_sizes=[32,48]", "recipe.epochs=[1,2]")


def data(root):
    return ("data=csv", f"data.root={root}", "data.val_fraction=0.25")  # of 24: 18 to train, 6 to validate


def test_a_dry_run_prints_the_plan_draws_it_and_leaves_nothing_else(call, csv_data, tmp_path):
    done = call("train", *TINY, *data(csv_data), *SIZES, "dry_run=true", f"hydra.run.dir={tmp_path / 'run'}")

    assert done.code == 0, done.err
    images = re.findall(r"^ +(\S+) .* ([\d,]+) +\d+\.\d s", done.out, re.MULTILINE)
    assert images == [("0", "18"), ("1", "36"), ("2", "18"), ("3", "36"), ("all", "108")]
    assert f"Picture: {tmp_path / 'run/recipe.png'}" in done.out
    left = {file.relative_to(tmp_path / "run").as_posix() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert {name for name in left if not name.startswith(".hydra/")} == {"recipe.png", "train.log"}


def test_the_same_folder_can_be_trained_in_afterwards(call, csv_data, tmp_path):
    arguments = ("train", *TINY, *data(csv_data), "recipe.image_sizes=[32]", "recipe.epochs=[1,0]")
    assert call(*arguments, "dry_run=true", f"hydra.run.dir={tmp_path / 'run'}").code == 0
    assert call(*arguments, f"hydra.run.dir={tmp_path / 'run'}").code == 0
    assert (tmp_path / "run/summary.json").is_file()


def test_a_run_has_the_picture_before_it_trains(call, csv_data, tmp_path, monkeypatch):
    import polytag.train

    def look(*_):
        assert (tmp_path / "run/plots/recipe.png").is_file()
        raise UserError("seen")

    monkeypatch.setattr(polytag.train, "fit", look)
    done = call("train", *TINY, *data(csv_data), *SIZES, f"hydra.run.dir={tmp_path / 'run'}")
    assert "Error: seen" in done.err
