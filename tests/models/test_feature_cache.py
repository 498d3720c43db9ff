"""Precomputed features: the scores of the plain frozen phase, computed once, refused where they would not be exact."""

import csv
import re

import pytest
import torch
from conftest import TINY

from polytag.data.cache_folder import list_segments
from polytag.models.feature_cache import weights_digest
from polytag.models.network import build_network

PROBE = ("recipe=linear_probe", "recipe.image_size=32", "recipe.epochs=3")
EIGHT = ("transforms=dihedral", "transforms.p=0")


def train(call, csv_data, folder, *options):
    done = call("train", *TINY, "data=csv", f"data.root={csv_data}", *options, f"hydra.run.dir={folder}")
    assert done.code == 0, done.err
    return done.out


def history(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def assert_same_history(one, other, tolerance=1e-5):
    left, right = history(one), history(other)
    assert len(left) == len(right) > 0
    for row, twin in zip(left, right, strict=True):
        assert row.keys() == twin.keys()
        for name, value in row.items():
            if name not in ("frozen", "phase"):
                assert float(value) == pytest.approx(float(twin[name]), abs=tolerance, nan_ok=True), name


@pytest.mark.parametrize(
    "options",
    [
        PROBE,
        ("recipe.image_sizes=[32]", "recipe.epochs=[2,0]"),
        ("recipe=fine_tune", "recipe.image_size=32", "recipe.epochs=1", "recipe.freeze_epochs=2"),
        (*PROBE, "model.head=fastai", "model.head_dropout=0"),  # takes maps, and has batch normalisation of its own
        (*PROBE, "model.head=csra", "model.backbone=test_vit"),  # a map of 4 x 1 patches
        (*PROBE, "model.head=ml_decoder", "model.head_dropout=0", "+model.head_options.decoder_width=64"),
        (*PROBE, *EIGHT, "recipe.views=8"),
        # From the second size on the backbone is another than the first weights.
        ("recipe.image_sizes=[32,48]", "recipe.epochs=[1,1]", "data.cache=true"),
        (*PROBE, "callbacks=[default,ema]"),
    ],
)
def test_scores_are_those_of_the_plain_frozen_phase(call, csv_data, tmp_path, options):
    computed = train(call, csv_data, tmp_path / "once", *options, "recipe.precompute=true")
    plain = train(call, csv_data, tmp_path / "plain", *options, "recipe.views=1", "recipe.precompute=false")
    assert "Computed the features of 19 images" in computed and "Computed the features" not in plain
    assert_same_history(tmp_path / "once", tmp_path / "plain")


def test_what_is_computed_once_is_found_again_by_the_same_weights_and_pixels_only(call, csv_data, tmp_path):
    def computed(number, *options):
        out = train(call, csv_data, tmp_path / str(number), *PROBE, "recipe.epochs=1", *options)
        return [int(count) for count in re.findall(r"features of (\d+) images", out)]

    assert computed(0) == [19, 5]
    assert computed(1, "recipe.lr=0.1", "model.head_dropout=0.5") == []
    assert computed(2, "data.num_folds=4", "data.fold=1") == []  # other rows train, but the images are the same
    assert computed(3, "recipe.image_size=48") == [19, 5]
    assert computed(4, "transforms.presize=2") == [19, 5]
    assert computed(5, "seed=1") == [19, 5]  # other random weights
    assert computed(6, "trainer.precision=bf16-mixed") == [19, 5]
    assert computed(7, *EIGHT, "recipe.views=8") == [19, 5]  # one view of the validation images
    assert computed(8, "model.head=csra") == [19, 5]  # maps instead of their means
    assert computed(9, "model.head=ml_decoder", "+model.head_options.decoder_width=64") == []
    assert sum(segment.arrays for segment in list_segments(tmp_path / "data/cache")) == 7 * 24


def test_linear_probe_precomputes_without_augmentation_unless_told_otherwise(call, csv_data, tmp_path):
    options = [option for option in TINY if not option.startswith("transforms=")]
    done = call("train", *options, "data=csv", f"data.root={csv_data}", *PROBE, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0 and "Computed the features of 19 images at 32 px" in done.out, done.err
    assert "transforms.Plain" in (tmp_path / "run/config.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("transforms=side_on",), r"\(SideOn\).*transforms=none, or recipe\.views=8 .* recipe\.precompute=false"),
        (("transforms=dihedral",), r"\(Dihedral\).*transforms=dihedral transforms\.p=0"),
        (EIGHT, r"trains on 8 views of each image \(Dihedral\): recipe\.views=8 instead of 1"),
        (("recipe.views=8",), r"trains on 1 view of each image \(Plain\): recipe\.views=1 instead of 8"),
        (("recipe.views=3",), r"recipe\.views=3 is neither 1 nor 8"),
        (("mixing=mixup",), "mixing=none, or compute them in each epoch"),
        (("recipe=one_stage", "recipe.image_size=32", "+recipe.precompute=true"), "Nothing reads the key"),
        (
            ("recipe=fine_tune", "recipe.freeze_epochs=0", "recipe.precompute=true"),
            "there is no phase in which only the head trains",
        ),
        (("data.cache_gb=1e-6",), r"The features take about .* data\.cache_gb=1e-06.*recipe\.precompute=false"),
    ],
)
def test_what_would_not_be_exact_is_refused(call, csv_data, tmp_path, options, message):
    done = call(
        "train", *TINY, "data=csv", f"data.root={csv_data}", *PROBE, *options, f"hydra.run.dir={tmp_path / 'r'}"
    )
    assert done.code == 2
    assert re.search(message, done.err), done.err


def test_a_phase_of_its_own_may_be_precomputed(call, csv_data, tmp_path):
    """Only the phase whose images never change; the others keep the run's crops."""
    file = tmp_path / "conf/experiment/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        """# @package _global_
defaults:
  - override /recipe: free_phases
  - override /transforms: side_on
recipe:
  phases:
    - image_size: 32
      epochs: 2
      frozen: [early, late]
      precompute: true
      transforms: {_target_: polytag.data.transforms.Plain}
    - {image_size: 32, epochs: 1}
"""
    )
    options = [option for option in TINY if not option.startswith("transforms=")]
    done = call(
        "train", f"--config-dir={tmp_path / 'conf'}", "experiment=mine", *options, "data=csv", f"data.root={csv_data}"
    )
    assert done.code == 0, done.err
    assert done.out.count("features computed once") >= 2
    assert "epoch 3/3 · phase 1 · 32 px, all groups" in done.out


def test_a_phase_that_trains_more_than_the_head_cannot_be():
    from polytag.errors import UserError
    from polytag.schedule.curves import Constant
    from polytag.schedule.recipe import Phase

    with pytest.raises(UserError, match="needs all groups but head frozen: 1 epoch at 32 px, early frozen"):
        Phase(32, 1, 0.1, Constant(), frozen=("early",), precompute=True)


def test_the_digest_is_of_what_the_head_does_not_change():
    torch.manual_seed(0)
    network = build_network("test_resnet", "none", "linear", 3)
    before = weights_digest(network)
    with torch.no_grad():
        network.head.fc.weight += 1
    assert weights_digest(network) == before
    with torch.no_grad():
        next(network.backbone.parameters())[0, 0, 0, 0] += 1e-6
    assert weights_digest(network) != before
