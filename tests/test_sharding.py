"""trainer=fsdp: two processes with a share of the weights each train as one process does. Run on the CPU, by gloo."""

import csv
import subprocess
import sys

import pytest
from conftest import TINY

from polytag import load_run
from polytag.errors import UserError
from polytag.models.network import build_network
from polytag.sharding import shard

SETTINGS = (
    *(setting for setting in TINY if not setting.startswith(("trainer", "model.backbone", "data.batch"))),
    *("data=csv", "data.val_fraction=0.25", "recipe.epochs=[1,2]", "trainer.accelerator=cpu"),
)
SHARDED = ("trainer=fsdp", "trainer.devices=2", "data.batch_size=3")


def train(root, folder, *settings):
    command = [sys.executable, "-m", "polytag.train", *SETTINGS, *settings, f"data.root={root}"]
    return subprocess.run([*command, f"hydra.run.dir={folder}"], capture_output=True, text=True, timeout=200)


def table(folder):
    with open(folder / "metrics.csv", newline="") as opened:
        return list(csv.DictReader(opened))


def assert_near(one, other):
    assert len(one) == len(other) == 3
    for row, same in zip(one, other, strict=True):
        for key in row.keys() - {"frozen"}:
            assert float(row[key]) == pytest.approx(float(same[key]), abs=1e-4, nan_ok=True), key


@pytest.mark.parametrize(
    "network",
    [
        ("model.backbone=test_vit", "recipe.image_sizes=[160]"),
        ("model.backbone=test_convnext", "recipe.image_sizes=[32]"),
    ],
    ids=["vit", "convnext"],
)
@pytest.mark.slow
def test_shares_train_as_one_process_first_frozen_then_all(call, csv_data, tmp_path, network):
    by_itself = (*network, "data.batch_size=6", f"data.root={csv_data}", f"hydra.run.dir={tmp_path / 'alone'}")
    alone = call("train", *SETTINGS, *by_itself)
    assert alone.code == 0, alone.err
    stopped = train(csv_data, tmp_path / "shared", *network, *SHARDED, "callbacks.stopping.max_minutes=0")
    assert stopped.returncode == 124, stopped.stderr  # behind the first batch
    done = train(csv_data, tmp_path / "shared", *network, *SHARDED)
    assert done.returncode == 0, done.stderr
    assert "Going on from" in done.stdout
    assert_near(table(tmp_path / "alone"), table(tmp_path / "shared"))
    # The checkpoint is one file of whole weights, for whoever has it.
    networks = [load_run(tmp_path / name).network.state_dict() for name in ("alone", "shared")]
    alone_shapes, shapes = ({name: tensor.shape for name, tensor in weights.items()} for weights in networks)
    assert shapes == alone_shapes


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("callbacks=[default,ema]", "callbacks=ema does not go with trainer=fsdp"),
        ("compile=true", "compile=true does not go with trainer=fsdp"),
        ("recipe=linear_probe", "recipe.precompute=true does not go with trainer=fsdp"),
    ],
)
def test_what_does_not_work_on_shares_is_refused(call, csv_data, tmp_path, option, said):
    network = (
        "model.backbone=test_vit",
        "transforms=none",
        "recipe.image_size=160" if "=linear" in option else "seed=0",
    )
    settings = (*(s for s in SETTINGS if not s.startswith("recipe")), *network, *SHARDED, option)
    done = call("train", *settings, f"data.root={csv_data}", f"hydra.run.dir={tmp_path / 'run'}")
    assert (done.code, said in done.err) == (2, True), done.err


def test_backbones_without_blocks_are_refused():
    with pytest.raises(UserError, match="consist of blocks, as ViT and ConvNeXt do, not test_resnet"):
        shard(build_network("test_resnet", "none", "linear", 3), None)
