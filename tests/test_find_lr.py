"""`find-lr`, and the number that `recipe.lr=auto` becomes."""

import csv
import math
import random

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import TINY
from hydra import compose, initialize_config_dir
from PIL import Image

from polytag import build, check_config
from polytag.build_trainer import build_compute
from polytag.commands import conf_dir
from polytag.errors import UserError
from polytag.find_lr import RangeTest, find_lr, found_lr, fullest_phase
from polytag.run_folder import RunFolder
from polytag.train import train

RECIPE = ("recipe.image_sizes=[32,48]", "recipe.epochs=[1,1]")
PHASES = "recipe.phases=[{image_size: 32, epochs: 1, lr: 0.003}, {image_size: 32, epochs: 1, lr_div: 4}]"


def data(root):
    return ("data=csv", f"data.root={root}")


def composed(*overrides, command="train", tiny=TINY):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, [*tiny, *overrides])


def points(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def recommended(text):
    return next(line for line in text.splitlines() if line.startswith("By the rule"))


def test_it_writes_picture_and_points_and_names_four_rates(call, csv_data, tmp_path):
    done = call("find-lr", *TINY, *data(csv_data), *RECIPE, "steps=30", "end_lr=1", "out=here")
    assert done.code == 0, done.err
    assert "Range test of phase 0: 1 epoch at 32 px, early+late frozen" in done.out
    assert all(name in done.out for name in ("valley", "slide", "minimum/10", "steep"))
    assert "24 images: " in done.out
    assert "Weights: " in done.out
    rows = points(tmp_path / "here/lr_finder.csv")
    assert list(rows[0]) == ["lr", "loss", "smoothed_loss"]
    assert len(rows) == 30
    assert (float(rows[0]["lr"]), float(rows[-1]["lr"])) == (1e-7, 1.0)
    assert rows[0]["loss"] == rows[0]["smoothed_loss"]
    with Image.open(tmp_path / "here/lr_finder.png") as picture:
        assert picture.size[0] > 800
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"lr_finder.csv", "lr_finder.png"}


def test_each_phase_has_its_folder_below_logs(call, csv_data, tmp_path):
    done = call("find-lr", "-m", *TINY, *data(csv_data), *RECIPE, "steps=20", "phase=1,2")
    assert done.code == 0, done.err
    assert "phase 1: 1 epoch at 32 px, all groups train" in done.out
    assert "phase 2: 1 epoch at 48 px, early+late frozen" in done.out
    folders = [file.parent for file in (tmp_path / "logs/find_lr").rglob("lr_finder.png")]
    assert sorted(folder.name for folder in folders) == ["0", "1"]


def test_auto_stands_for_any_number(call, csv_data):
    common = (*TINY, *data(csv_data), *RECIPE, "steps=30")
    outputs = [call("find-lr", *common, f"recipe.lr={lr}", f"out={lr}").out for lr in ("0.5", "auto")]
    assert len({recommended(out) for out in outputs}) == 1


def test_another_rule_can_be_followed(call, csv_data, tmp_path):
    done = call("find-lr", *TINY, *data(csv_data), *RECIPE, "steps=30", "suggestion=minimum", "out=o")
    judged = points(tmp_path / "o/lr_finder.csv")[3:-5]
    lowest = min(judged, key=lambda row: float(row["smoothed_loss"]))
    line = recommended(done.out)
    assert line.startswith("By the rule minimum: recipe.lr=")
    assert float(line.split("=")[1]) == pytest.approx(float(lowest["lr"]) / 10, rel=5e-3)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("phase=4", "phase=4: the recipe has the phases 0 to 3."),
        ("phase=-1", "phase=-1: the recipe has the phases 0 to 3."),
        ("phase=first", "phase=first must be a whole number."),
        ("steps=15", "The range test has 15 points"),
        ("start_lr=20", "The range test cannot go from start_lr=20 up to end_lr=10"),
        ("suggestion=lowest", "suggestion='lowest' is none of valley, slide, minimum, steep."),
        ("trainer.accelerator=mps", "trainer.accelerator=mps is not to be had here: try trainer=cpu."),
    ],
)
def test_mistakes_are_one_line(call, csv_data, argument, message):
    done = call("find-lr", *TINY, *data(csv_data), *RECIPE, "steps=20", argument)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err


def test_a_test_that_explodes_at_once_leaves_its_points(call, csv_data, tmp_path):
    arguments = ("optimizer=sgd", "start_lr=1e3", "end_lr=1e6", "phase=1", "out=o")
    done = call("find-lr", *TINY, *data(csv_data), *RECIPE, *arguments)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "Raise steps, or lower start_lr" in done.err
    assert len(points(tmp_path / "o/lr_finder.csv")) < 25


def test_every_experiment_and_debug_mode_of_train_works_here_too():
    for folder in ("experiment", "debug", "sweep"):
        for file in (conf_dir() / folder).glob("*.yaml"):
            config = composed(f"{folder}={file.stem}", "data.root=x", "out=here", command="find_lr", tiny=())
            check_config.check_keys(config, "find_lr")
            assert config.out == "here"
    with pytest.raises(UserError, match=r"Nothing reads the key 'fase'\. Did you mean 'phase'\?"):
        check_config.check_keys(composed("+fase=1", command="find_lr"), "find_lr")


def test_the_number_gives_the_head_of_that_phase_the_suggested_rate(csv_data, tmp_path):
    chosen = ("auto_lr.steps=20", "auto_lr.suggestion=steep")
    config = composed(*data(csv_data), *RECIPE, "recipe.lr=auto", "recipe.stage_lr_div=[1,4]", *chosen)
    table = build.build_table(config.data)
    found = find_lr(config, table, tmp_path, RangeTest(phase=1, steps=20))
    rate = found_lr(config, table, tmp_path)
    assert config.recipe.lr == "auto"
    assert rate == pytest.approx(4 * found.suggestions["steep"], rel=5e-3)
    assert float(f"{rate:.3g}") == rate
    config.recipe.lr = rate
    assert build.build_recipe(config).phases[1].lr == pytest.approx(found.suggestions["steep"], rel=5e-3)


def test_a_phase_with_an_lr_of_its_own_has_no_recipe_lr(call, csv_data, tmp_path):
    common = (*data(csv_data), "recipe=free_phases", PHASES)
    done = call("find-lr", *TINY, *common, "steps=20")
    assert done.code == 0, done.err
    assert "Phase 0 has an lr of its own: recipe.lr does not move it." in done.out
    config = composed(*common, "auto_lr.steps=20")
    table = build.build_table(config.data)
    with pytest.raises(UserError, match=r"recipe\.lr=auto: phase 0 has an lr of its own: .* auto_lr\.phase"):
        found_lr(config, table, tmp_path)
    config.auto_lr.phase = 1
    assert found_lr(config, table, tmp_path) > 0


@pytest.mark.parametrize(
    ("recipe", "phase"),
    [
        (("recipe=freeze_unfreeze",), 1),
        (("recipe=freeze_unfreeze", "recipe.stages=[unfrozen,frozen]"), 0),
        (("recipe=gradual_unfreezing",), 2),
        (("recipe=linear_probe",), 0),
    ],
)
def test_auto_tests_the_first_phase_in_which_the_most_groups_train(recipe, phase):
    assert fullest_phase(composed(*recipe, "recipe.lr=auto")) == phase


def test_a_phases_own_batch_size_counts(call, csv_data, tmp_path):
    own = "recipe.phases=[{image_size: 32, epochs: 1, batch_size: 2, lr_div: 1}]"
    arguments = (*TINY, *data(csv_data), "recipe=free_phases", "steps=20")
    assert call("find-lr", *arguments, own, "out=two").code == 0
    assert call("find-lr", *arguments, own.replace("batch_size: 2, ", ""), "data.batch_size=2", "out=2").code == 0
    assert call("find-lr", *arguments, own.replace("batch_size: 2, ", ""), "out=four").code == 0
    two, same, four = ((tmp_path / name / "lr_finder.csv").read_text() for name in ("two", "2", "four"))
    assert two == same != four


def test_training_is_the_same_with_and_without_a_test_before_it(csv_data, tmp_path, monkeypatch):
    options = ("max_epochs_per_phase=1", "callbacks=none", "paths.output=x", "auto_lr.steps=20")
    config = composed(*data(csv_data), *RECIPE, *options)
    build_table = build.build_table

    def table_after_a_test(node):
        table = build_table(node)
        found_lr(config, table, tmp_path / "test")
        return table

    train(config, RunFolder(tmp_path / "without"))
    monkeypatch.setattr(build, "build_table", table_after_a_test)
    train(config, RunFolder(tmp_path / "with"))
    assert (tmp_path / "test/lr_finder.png").exists()
    one, other = (tmp_path / name / "metrics.csv" for name in ("without", "with"))
    assert one.read_text() == other.read_text()
    weights = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("without", "with")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_test_moves_no_generator_and_repeats_itself(csv_data, tmp_path):
    config = composed(*data(csv_data), *RECIPE, "transforms=side_on", "auto_lr.steps=20")
    table = build.build_table(config.data)

    def draws():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()

    pl.seed_everything(1, verbose=False)
    expected = draws()
    rates = []
    for _ in range(2):
        pl.seed_everything(1, verbose=False)
        rates.append(found_lr(config, table, tmp_path))
        assert draws() == expected
    assert rates[0] == rates[1]
    assert math.isfinite(rates[0])


def test_accumulation_and_clipping_are_the_trainers(csv_data, tmp_path):
    plain = composed(*data(csv_data), *RECIPE)
    config = composed(
        *(*data(csv_data), *RECIPE, "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.5"),
        "trainer.precision=bf16-mixed",
    )
    compute = build_compute(config.trainer)
    assert (compute.accumulate, compute.precision, compute.device.type) == (2, "bf16-mixed", "cpu")
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    compute.clip([parameter])
    assert parameter.grad.tolist() == pytest.approx([0.3, 0.4])
    config = composed(*data(csv_data), "trainer.gradient_clip_val=0.5", "+trainer.gradient_clip_algorithm=value")
    parameter.grad = torch.tensor([3.0, 0.1])
    build_compute(config.trainer).clip([parameter])
    assert parameter.grad.tolist() == pytest.approx([0.5, 0.1])
    assert build_compute(plain.trainer).clip is None


def test_what_a_training_would_settle_first_is_left_at_its_default(call, csv_data):
    common = (*TINY, *data(csv_data), *RECIPE, "steps=20")
    auto = ("trainer.precision=auto", "compile=auto", "data.cache=auto")
    one, other = call("find-lr", *common, "out=a"), call("find-lr", *common, *auto, "out=b")
    assert other.code == 0, other.err
    assert recommended(one.out) == recommended(other.out)
