"""What every loss in conf/criterion must do, built as the commands build it."""

import csv
import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import TINY
from hydra import compose, initialize_config_dir
from sklearn.metrics import average_precision_score

from polytag import build
from polytag.commands import conf_dir
from polytag.data.label_table import make_table
from polytag.errors import UserError
from polytag.models.activations import activation_of

CRITERIA = sorted(file.stem for file in (conf_dir() / "criterion").glob("*.yaml"))
REAL = [name for name in CRITERIA if name != "activation_loss"]
CLASSES = tuple("abcde")
NAN = float("nan")
# In each image one of the exclusive a and b, or nothing known of both.
TARGETS = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 1, NAN], [NAN, NAN, 1, NAN, 1], [0, 1, NAN, 0, 0]])


@cache  # no loss has a state, and composing takes longer than all else here
def criterion_of(*overrides, labels=("ac", "bd", "ce", "b")):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        options = ("data.exclusive_groups=[[a,b]]", *overrides, "data.root=x", "paths.output=x")
        config = compose("train", list(options))
    files = [f"{row}.jpg" for row in range(len(labels))]
    table = make_table(Path("."), files, [list(has) for has in labels], classes=CLASSES, split=["train"] * len(files))
    return build.build_criterion(config, table)


def gradient_of(criterion, logits, targets):
    """Return the loss and its gradient."""
    logits = logits.clone().requires_grad_()
    loss = criterion(logits, targets)
    loss.backward()
    return loss.detach(), logits.grad


def random_logits(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_logits_give_a_finite_scalar_in_32_bits(name, dtype):
    criterion = criterion_of(f"criterion={name}")
    signs = random_logits(4, 5).sign()
    right = torch.where(TARGETS == 1, 1.0, -1.0)
    for direction in (signs, right, -right, torch.ones(4, 5), -torch.ones(4, 5)):
        loss, gradient = gradient_of(criterion, (1e4 * direction).to(dtype), TARGETS)
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert loss >= 0
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", CRITERIA)
def test_what_is_unknown_has_no_influence_and_no_gradient(name):
    criterion, logits = criterion_of(f"criterion={name}"), random_logits(4, 5)
    loss, gradient = gradient_of(criterion, logits, TARGETS)
    assert (gradient[TARGETS.isnan()] == 0).all()
    assert (gradient[~TARGETS.isnan()] != 0).any()
    moved = torch.where(TARGETS.isnan(), 1e4 * random_logits(4, 5, seed=1), logits)
    assert criterion(moved, TARGETS).item() == pytest.approx(loss.item(), rel=1e-6)
    as_integers = torch.where(TARGETS.isnan(), -1, TARGETS).to(torch.int8)
    assert torch.equal(criterion(logits, as_integers), loss)


@pytest.mark.parametrize("name", CRITERIA)
def test_where_nothing_is_known_nothing_is_pulled_at(name):
    loss, gradient = gradient_of(criterion_of(f"criterion={name}"), random_logits(4, 5), torch.full((4, 5), NAN))
    assert loss == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", CRITERIA)
def test_shares_of_mixed_images_give_a_loss_between_and_a_finite_gradient(name):
    criterion, logits = criterion_of(f"criterion={name}"), random_logits(4, 5)
    known = TARGETS.nan_to_num(0)
    for share in (1e-12, 0.2, 0.5, 1 - 1e-7):
        loss, gradient = gradient_of(criterion, logits, share * known + (1 - share) * known.roll(1, 0))
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert gradient.any()
    nearly = criterion(logits, 0.9999 * known + 0.0001 * known.roll(1, 0))
    assert nearly.item() == pytest.approx(criterion(logits, known).item(), rel=0.05)


@pytest.mark.parametrize("name", CRITERIA)
def test_the_size_of_the_batch_does_not_scale_the_gradient_of_means(name):
    criterion, logits, targets = criterion_of(f"criterion={name}"), random_logits(4, 5), TARGETS.nan_to_num(0)
    _, once = gradient_of(criterion, logits, targets)
    _, twice = gradient_of(criterion, logits.repeat(2, 1), targets.repeat(2, 1))
    assert 0.3 < twice.norm() * math.sqrt(2) / once.norm() < 3


@pytest.mark.parametrize("name", REAL)
def test_a_linear_layer_learns_a_separable_problem(name):
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(64, 5, generator=generator) < 0.4).float()
    targets[:, 1] = 1 - targets[:, 0]  # a and b exclude one another
    features = (2 * targets - 1 + 0.2 * torch.randn(64, 5, generator=generator)) @ torch.randn(
        5, 8, generator=generator
    )
    layer = torch.nn.Linear(8, 5)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    criterion, optimizer = criterion_of(f"criterion={name}"), torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(200):
        loss = criterion(layer(features), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    probabilities = activation_of(criterion)(layer(features)).detach()
    assert average_precision_score(targets, probabilities, average="macro") > 0.97
    if name not in (
        "two_way",
        "categorical",
    ):  # the logits of the one only rank, a label of the other has its share only
        assert ((probabilities >= 0.5) == targets.bool()).float().mean() > 0.97


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("criterion.pos_weight=[1,2]",), "2 numbers for 5 classes"),
        (("criterion=focal", "criterion.gamma=-1"), r"criterion\.gamma=-1"),
        (("criterion=asl", "criterion.clip=2"), r"criterion\.clip=2"),
        (("criterion=soft_f_beta", "criterion.average=samples"), r"criterion\.average=samples"),
        (("criterion=two_way", "criterion.temperature_negative=0"), r"criterion\.temperature_negative=0"),
        (("criterion=grouped_softmax", "data.exclusive_groups=[]"), r"data\.exclusive_groups is empty"),
        (("criterion=grouped_softmax", "data.exclusive_groups=[[a,f]]"), "'f', which is no class"),
        (("criterion=activation_loss", "criterion.loss=sparse_ce"), "3 of 4 training images"),
        (("criterion=activation_loss", "criterion.activation=null"), r"criterion\.activation=None"),
    ],
)
def test_wrong_values_are_named(overrides, message):
    with pytest.raises(UserError, match=message):
        criterion_of(*overrides)


def test_counts_come_from_the_training_targets():
    assert criterion_of("criterion.pos_weight=counts").pos_weight.tolist() == pytest.approx([3, 1, 1, 3, 3])


def test_the_default_is_binary_cross_entropy_without_weights():
    logits, targets = random_logits(4, 5), TARGETS.nan_to_num(0)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    assert criterion_of()(logits, targets).item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_weather_of_planet_is_a_group():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["data=planet", "criterion=grouped_softmax", "data.root=x", "paths.output=x"])
    from polytag.data.planet import CLASSES as PLANET

    table = make_table(Path("."), ["a.jpg"], [["clear", "primary"]], classes=PLANET, split=["train"])
    (group,) = activation_of(build.build_criterion(config, table)).groups
    assert [PLANET[column] for column in group] == ["clear", "partly_cloudy", "haze", "cloudy"]


QUICK = ("grouped_softmax",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CRITERIA]
)
def test_a_training_with_it(call, csv_data, tmp_path, name):
    data = ("data=csv", f"data.root={csv_data}", "data.exclusive_groups=[[apple,bread]]")
    recipe = ("recipe=one_stage", "recipe.image_size=32", "recipe.epochs=2", f"criterion={name}")
    done = call("train", *TINY, *data, *recipe, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    with open(tmp_path / "run/metrics.csv", newline="") as file:
        history = list(csv.DictReader(file))
    assert len(history) == 2
    assert all(math.isfinite(float(row[key])) for row in history for key in ("train/loss", "val/loss", "val/map"))
    assert math.isfinite(json.loads((tmp_path / "run/summary.json").read_text())["val"]["val/map"])
    if name == "grouped_softmax":
        with open(tmp_path / "run/predictions/val.csv", newline="") as file:
            sums = [float(row["apple"]) + float(row["bread"]) for row in csv.DictReader(file)]
        assert sums == pytest.approx([1] * len(sums), abs=1e-3)
