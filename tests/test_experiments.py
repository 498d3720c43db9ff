"""The lessons' experiments, as configs: what they come to, in numbers out of the lessons."""

from pathlib import Path

import pytest
import torch
from fake.miml import make_miml
from fake.pascal import make_fastai
from fake.planet import make_planet
from hydra import compose, initialize_config_dir

from polytag import build, check_config
from polytag.commands import conf_dir
from polytag.data.label_table import make_table
from polytag.inference.tta import Dihedral
from polytag.models.heads import DenseHead, FastaiHead
from polytag.run_folder import RunFolder

LESSONS = ("planet_fastai", "pascal_fastbook", "miml_keras")


def composed(experiment, *overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", "paths.output=x", "data.root=nowhere", *overrides])
    check_config.check_keys(config, "train")
    return config


def built(config):
    """Return the recipe and the classifier with random weights."""
    config.model.weights = "none"
    recipe = build.build_recipe(config)
    table = make_table(Path("."), ["a.jpg", "b.jpg"], [["x"], ["y"]])
    classifier = build.build_classifier(config, table, recipe)
    build.check_groups(classifier.network, recipe)
    return recipe, classifier


def phases(recipe):
    return [(phase.image_size, phase.frozen, phase.epochs) for phase in recipe.phases]


def lrs(recipe, position):
    return tuple(recipe.group_lrs(position).values())


@pytest.mark.parametrize("experiment", LESSONS)
def test_lessons_read_like_the_lesson(experiment):
    lines = (conf_dir() / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert len(lines) < 30
    assert lines[1].startswith("# ") and f"train experiment={experiment} data.root=" in lines[1]


def test_planet_has_the_phases_of_the_lesson():
    recipe = build.build_recipe(composed("planet_fastai"))
    assert recipe.epochs == 42
    assert phases(recipe) == [
        (64, ("early", "late"), 7),
        (64, (), 7),
        (128, ("early", "late"), 7),
        (128, (), 7),
        (256, ("early", "late"), 7),
        (256, (), 7),
    ]


@pytest.mark.parametrize(
    ("position", "rates"),
    [
        (0, (0, 0, 0.2)),  # frozen: the head alone, at the peak of a cycle of one epoch
        (0.5, (0, 0, 0.1)),
        (1, (0, 0, 0.2)),  # the cycle of two epochs
        (2, (0, 0, 0.1)),
        (3, (0, 0, 0.2)),  # the cycle of four
        (5, (0, 0, 0.1)),
        (7, (0.0222222222, 0.0666666667, 0.2)),  # unfrozen
        (7.5, (0.0111111111, 0.0333333333, 0.1)),
        (12, (0.0111111111, 0.0333333333, 0.1)),
        (14, (0, 0, 0.2)),  # 128 pixels
        (35, (0.0222222222, 0.0666666667, 0.2)),  # 256 pixels, unfrozen
        (42, (0, 0, 0)),
    ],
)
def test_planet_has_the_rates_of_the_lesson(position, rates):
    recipe = build.build_recipe(composed("planet_fastai"))
    assert lrs(recipe, position) == pytest.approx(rates)
    assert recipe.momentum(position) is None  # SGD's own


def test_planet_has_the_network_the_optimizer_and_the_data_of_the_lesson():
    config = composed("planet_fastai")
    _, classifier = built(config)
    optimizer = classifier.configure_optimizers()
    assert type(optimizer) is torch.optim.SGD
    assert {(group["momentum"], group["weight_decay"]) for group in optimizer.param_groups} == {(0.9, 0.0)}
    assert classifier.network.backbone_name == "resnet34"
    assert isinstance(classifier.network.head, FastaiHead)
    assert [layer.p for layer in classifier.network.head.layers if hasattr(layer, "p")] == [0.25, 0.5]
    transforms = build.build(config.transforms)
    assert (type(transforms).__name__, transforms.rotate, transforms.zoom) == ("Dihedral", 10.0, 1.05)
    assert (config.data.batch_size, config.data.val_fraction) == (64, 0.2)
    assert config.monitor.metric == "val/f2"
    assert classifier.policy.threshold == 0.2


def test_planet_ends_with_test_time_augmentation():
    config = composed("planet_fastai")
    tta = build.build(config.tta)
    assert isinstance(tta, Dihedral)
    assert [len(part.views) for part in tta.passes(build.build(config.transforms), 256)] == [8]


def test_pascal_has_the_phases_of_the_lesson():
    recipe = build.build_recipe(composed("pascal_fastbook"))
    assert phases(recipe) == [(128, ("early", "late"), 4), (128, (), 3)]


@pytest.mark.parametrize(
    ("position", "rates", "momentum"),
    [  # fine_tune(3, base_lr=3e-3, freeze_epochs=4) of fastai v2, calculated by hand
        (0, (0, 0, 1.2e-4), 0.95),  # 3e-3 / 25
        (1.98, (0, 0, 1.56e-3), 0.9),
        (3.96, (0, 0, 3e-3), 0.85),  # 99 % of four epochs
        (4, (3e-6, 3e-5, 3e-4), 0.95),  # a fifth of 1.5e-5, 1.5e-4, 1.5e-3
        (4.45, (9e-6, 9e-5, 9e-4), 0.9),
        (4.9, (1.5e-5, 1.5e-4, 1.5e-3), 0.85),  # 30 % of three epochs
        (5.95, (7.500075e-6, 7.500075e-5, 7.500075e-4), 0.9),
        (7, (1.5e-10, 1.5e-9, 1.5e-8), 0.95),
    ],
)
def test_pascal_has_the_rates_and_momenta_of_fine_tune(position, rates, momentum):
    recipe = build.build_recipe(composed("pascal_fastbook"))
    assert lrs(recipe, position) == pytest.approx(rates)
    assert recipe.momentum(position) == pytest.approx(momentum)


def test_pascal_has_the_network_the_optimizer_and_the_threshold_of_the_lesson():
    config = composed("pascal_fastbook")
    _, classifier = built(config)
    optimizer = classifier.configure_optimizers()
    assert type(optimizer) is torch.optim.AdamW
    assert {tuple(group["betas"]) for group in optimizer.param_groups} == {(0.9, 0.99)}
    assert {(group["eps"], group["weight_decay"]) for group in optimizer.param_groups} == {(1e-5, 0.01), (1e-5, 0.0)}
    assert classifier.network.backbone_name == "resnet50"
    assert isinstance(classifier.network.head, FastaiHead)
    assert classifier.network.head.layers[2].in_features == 4096  # average and maximum of 2,048 channels
    assert classifier.policy.threshold == 0.2
    assert "accuracy_policy" in classifier.metrics
    assert config.data.batch_size == 64
    transforms = build.build(config.transforms)
    assert (transforms.min_area, transforms.mirror, transforms.p, transforms.resize) == (0.35, False, 0.0, "crop")


def test_miml_has_one_frozen_phase_at_a_constant_rate():
    recipe = build.build_recipe(composed("miml_keras"))
    assert phases(recipe) == [(64, ("early", "late"), 100)]
    for position in (0, 0.04, 50, 99.96):
        assert lrs(recipe, position) == (0, 0, 1e-3)
        assert recipe.momentum(position) is None


def test_miml_has_the_network_the_optimizer_and_the_loss_of_the_lesson():
    config = composed("miml_keras")
    _, classifier = built(config)
    optimizer = classifier.configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert {(*group["betas"], group["eps"], group["weight_decay"]) for group in optimizer.param_groups} == {
        (0.9, 0.999, 1e-7, 0.0)
    }
    network = classifier.network
    assert network.backbone_name == "vgg16"
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network.backbone.modules()) == 13
    assert not any(isinstance(layer, torch.nn.Linear) for layer in network.backbone.modules())
    assert isinstance(network.head, DenseHead)
    assert tuple(network.head.fc.weight.shape) == (2, 512)
    assert config.data.batch_size == 64
    assert (type(classifier.criterion).__name__, classifier.criterion.label_smoothing) == ("BCE", 0.0)
    assert classifier.policy.threshold == 0.5


def test_miml_sees_each_image_whole_and_unchanged():
    transforms = build.build(composed("miml_keras").transforms)
    assert (type(transforms).__name__, transforms.resize) == ("Plain", "squish")


@pytest.mark.parametrize(("experiment", "large"), [("miml_finetune", 288), ("pascal_finetune", 320)])
def test_our_own_experiments(experiment, large):
    recipe, _ = built(composed(experiment))
    assert phases(recipe) == [(160, ("early", "late"), 1), (160, (), 2), (large, (), 4)]
    peaks = [lrs(recipe, start + 0.25 * epochs) for start, epochs in ((0, 1), (1, 2), (3, 4))]  # one-cycle's pct_start
    assert peaks == [
        pytest.approx((0, 0, 2.5e-3)),
        pytest.approx((1.25e-3 / 9, 1.25e-3 / 3, 1.25e-3)),
        pytest.approx((5e-4 / 9, 5e-4 / 3, 5e-4)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "make", "sizes"),
    [
        ("planet_fastai", make_planet, ["64", "64", "128", "128", "256", "256"]),
        ("pascal_fastbook", make_fastai, ["128", "128"]),
        ("miml_keras", make_miml, ["64"]),
    ],
)
def test_a_lesson_runs_to_its_end_with_random_weights(call, tmp_path, experiment, make, sizes):
    make(tmp_path / "data", rows=16)
    options = ("model.weights=none", "debug=fast", "data.num_workers=0", "trainer=cpu", "print_config=false")
    done = call("train", f"experiment={experiment}", f"data.root={tmp_path / 'data'}", *options, "hydra.run.dir=run")
    assert done.code == 0, done.err
    rows = RunFolder(tmp_path / "run").read_history()
    assert [row["image_size"] for row in rows] == sizes
    assert (tmp_path / "run/summary.json").exists()
