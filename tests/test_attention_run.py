"""A run whose head looks at places: trained, drawn, read back, handed on, scored again."""

import json
import shutil

import numpy as np
import pytest
import torch
from conftest import TINY
from omegaconf import OmegaConf
from PIL import Image

from polytag import load_run
from polytag.data.csv import read_csv

OPTIONS = {
    "csra": ("model.head=csra", "+model.head_options={num_heads: 2, lam: 0.3}", "mixing=mixup"),
    "ml_decoder": (
        "model.head=ml_decoder",
        "+model.head_options={decoder_width: 64, groups: 2}",
        "callbacks=[default,ema]",
    ),
}


@pytest.fixture(scope="module")
def runs(csv_data, tmp_path_factory):
    """Return a function that gives the folder of a run with a head, trained once for all tests."""
    made = {}

    def run(call, head):
        if head not in made:
            folder = tmp_path_factory.mktemp(head)
            done = train(call, csv_data, folder, *OPTIONS[head])
            assert done.code == 0, done.err
            made[head] = folder
        return made[head]

    return run


def train(call, csv_data, folder, *options):
    recipe = ("recipe=one_stage", "recipe.image_size=64", "recipe.epochs=2")
    return call(
        "train", *TINY, "report=true", "data=csv", f"data.root={csv_data}", *recipe, *options, f"hydra.run.dir={folder}"
    )


@pytest.mark.parametrize("head", OPTIONS)
def test_a_run_is_trained_drawn_and_read_back_to_the_same_probabilities(call, csv_data, runs, head):
    folder = runs(call, head)
    with Image.open(folder / "plots/attention.png") as image:
        assert image.width > 500
    run = load_run(folder)
    written = run.predictions()
    table = read_csv(str(csv_data))
    rows = [table.names.tolist().index(name) for name in written["image"]]
    probabilities = run.predict(table.rows(np.array(rows)), device=torch.device("cpu"))
    assert probabilities == pytest.approx(written["probabilities"], abs=2e-6)
    pixels = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    assert run.network.attention(pixels).shape == (1, len(run.classes), 2, 2)


@pytest.mark.parametrize("head", OPTIONS)
def test_its_checkpoint_scores_as_it_did_and_starts_others(call, csv_data, runs, tmp_path, head):
    folder = runs(call, head)
    done = call("evaluate", f"run={folder}", f"out={tmp_path / 'out'}", "device=cpu")
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "out/summary.json").read_text())["scores"]
    assert {f"val/{name}": score for name, score in scores.items()} == pytest.approx(
        json.loads((folder / "summary.json").read_text())["val"]
    )
    head_options = OPTIONS[head][:2]
    again = call(
        *(
            "train",
            *TINY,
            "report=true",
            "data=csv",
            f"data.root={csv_data}",
            *head_options,
            f"model.weights=run:{folder}",
        ),
        *("recipe=one_stage", "recipe.image_size=64", "train=false", f"hydra.run.dir={tmp_path / 'again'}"),
    )
    assert again.code == 0, again.err
    assert "fresh" not in again.out  # the head, too, and the queries
    assert (tmp_path / "again/predictions/val.csv").read_text() == (folder / "predictions/val.csv").read_text()


def test_a_run_from_before_the_heads_had_options_is_read(call, csv_data, finished_run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(finished_run, old)
    config = OmegaConf.load(old / "config.yaml")
    assert config.model.pop("head_options") == {}
    OmegaConf.save(config, old / "config.yaml")
    done = call("evaluate", f"run={old}", f"out={tmp_path / 'out'}", "device=cpu")
    assert done.code == 0, done.err
    assert (tmp_path / "out/predictions.csv").read_text() == (old / "predictions/val.csv").read_text()
    again = call("train", f"resume={old}")
    assert again.code == 0 and "is finished" in again.out, again.err
    assert not (old / "plots/attention.png").exists()  # a linear head looks at all places alike


def test_mistakes_in_the_options_end_the_command_before_the_training(call, csv_data, tmp_path):
    for options, message in (
        (("model.head=csra", "+model.head_options.lamb=1"), "Did you mean 'lam'"),
        (("model.head=csra", "+model.head_options.num_heads=5"), "num_heads=5 is none of 1, 2, 4, 6, 8"),
        (("+model.head_options.lam=1",), "no option of model.head=linear"),
    ):
        done = train(call, csv_data, tmp_path / "run", *options)
        assert done.code == 2 and message in done.err, done.err


def test_a_backbone_without_a_grid_costs_no_run(call, csv_data, tmp_path, monkeypatch):
    from polytag.errors import UserError
    from polytag.models.network import Network

    def no_grid(self, images):
        raise UserError("no grid")

    monkeypatch.setattr(Network, "attention", no_grid)
    done = train(call, csv_data, tmp_path / "run", "model.head=csra", "recipe.epochs=1")
    assert done.code == 0 and "plots/attention.png is left out. no grid" in done.out + done.err
    assert (tmp_path / "run/summary.json").is_file()
