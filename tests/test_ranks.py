"""Several processes: the metrics of one with larger batches, and what has to be said where they cannot be those."""

import csv
import math

import pytest
import torch
from conftest import TINY
from omegaconf import OmegaConf
from torch import nn

from polytag.errors import UserError
from polytag.models.batch_norm import batch_norm_trains, synchronise
from polytag.models.network import build_network
from polytag.run_folder import RunFolder
from polytag.schedule.curves import Constant
from polytag.schedule.recipes import freeze_unfreeze
from polytag.settle import settle_lr_scale

SAID = "Batch normalisation trains, and each of the 2 processes"
# 18 images train: three batches of 6, or of twice 3.
OPTIONS = (*TINY, "data=csv", "data.val_fraction=0.25", "recipe.image_sizes=[32]", "callbacks=[default]")
NETWORKS = {
    # No batch normalisation, and all layers train; or there is some, and it is frozen.
    "convnext": (("model.backbone=test_convnext", "recipe.epochs=[1,2]"), False),
    "frozen batch_norm": (("model.backbone=test_resnet", "recipe.epochs=[3,0]"), False),
    "batch_norm": (("model.backbone=test_resnet", "recipe.epochs=[1,2]"), True),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_two_processes_train_as_one_with_batches_twice_as_large(call, csv_data, tmp_path, network):
    options, differ = NETWORKS[network]
    said = []
    for name, own in {"one": ("data.batch_size=6",), "two": ("data.batch_size=3", "trainer=ddp_fork")}.items():
        settings = (*OPTIONS, *options, *own, f"data.root={csv_data}", f"hydra.run.dir={tmp_path / name}")
        done = call("train", *settings)
        assert done.code == 0, done.err
        said.append(SAID in done.out)
    assert said == [False, differ]
    one, two = (table(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert len(one) == len(two) == 3
    same = [
        math.isclose(float(row[key]), float(other[key]), abs_tol=1e-4)
        for row, other in zip(one, two, strict=True)
        for key in row
        if key != "frozen" and row[key] != "nan"
    ]
    assert all(same) is not differ


def table(file):
    with open(file, newline="") as opened:
        return list(csv.DictReader(opened))


def network_of(backbone):
    return build_network(backbone, "none", "linear", 3)


def test_batch_norm_trains_unless_it_is_frozen_or_there_is_none():
    recipe = freeze_unfreeze([32], ["frozen", "unfrozen"], lr=0.1, curve=Constant(), epochs=[1, 1])
    frozen = freeze_unfreeze([32], ["frozen"], lr=0.1, curve=Constant(), epochs=[1])
    assert batch_norm_trains(network_of("test_resnet"), recipe)
    assert not batch_norm_trains(network_of("test_resnet"), frozen)
    assert not batch_norm_trains(network_of("test_vit"), recipe)


def test_synchronised_batch_norm_keeps_weights_and_activations():
    network = network_of("test_efficientnet").eval()  # its layers hold normalisation and activation together
    names, images = list(network.state_dict()), torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    before = network(images)
    parameters = {id(parameter) for parameter in network.parameters()}
    synchronise(network)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in network.modules()) > 5
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert list(network.state_dict()) == names
    assert {id(parameter) for parameter in network.parameters()} == parameters  # the optimizer has these
    assert torch.equal(network(images), before)


def test_synchronised_batch_norm_is_refused_without_gpus(call, csv_data, tmp_path):
    done = call("train", *OPTIONS, f"data.root={csv_data}", "trainer.sync_batchnorm=true", f"hydra.run.dir={tmp_path}")
    assert (done.code, "is for several GPUs" in done.err) == (2, True)


@pytest.mark.parametrize(("scale", "factor"), [(1, 1.0), (0.5, 0.5), ("linear", 8.0), ("sqrt", 2.8284271)])
def test_rates_go_by_the_number_of_processes_where_that_is_asked_for(tmp_path, scale, factor):
    trainer = {"devices": 4, "num_nodes": 2, "accelerator": "cpu"}
    config = OmegaConf.create({"lr_scale": scale, "dry_run": False, "trainer": trainer})
    assert settle_lr_scale(config, RunFolder(tmp_path)) == pytest.approx(factor)
    assert config.lr_scale == pytest.approx(factor)  # what config.yaml gets
    OmegaConf.save(config, tmp_path / "config.yaml")
    changed = OmegaConf.create({"lr_scale": scale, "dry_run": False, "trainer": trainer | {"num_nodes": 1}})
    assert settle_lr_scale(changed, RunFolder(tmp_path)) == pytest.approx(factor)  # a run that goes on keeps its rates


@pytest.mark.parametrize("scale", [0, -1, "quadratic", None])
def test_other_scales_are_refused(tmp_path, scale):
    config = OmegaConf.create({"lr_scale": scale, "dry_run": False, "trainer": {"devices": 1, "num_nodes": 1}})
    with pytest.raises(UserError, match="neither a number above 0, nor linear, nor sqrt"):
        settle_lr_scale(config, RunFolder(tmp_path))


def test_a_scaled_recipe_has_every_rate_multiplied_and_its_run_goes_on(call, csv_data, tmp_path):
    options = (*OPTIONS, f"data.root={csv_data}", "recipe.epochs=[1,1]", "trainer=ddp_fork", "lr_scale=linear")
    stopped = call("train", *options, f"hydra.run.dir={tmp_path / 'run'}", "callbacks.stopping.max_minutes=0")
    assert stopped.code == 124, stopped.err
    done = call("train", *options, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    assert OmegaConf.load(tmp_path / "run/config.yaml").lr_scale == 2
    frozen = freeze_unfreeze([32], ["frozen"], lr=1.0, curve=Constant(), epochs=[1])
    assert frozen.scaled(3.0).phases[0].lr == 3 * frozen.phases[0].lr
