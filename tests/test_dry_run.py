"""`train dry_run=true`: counts, estimated times, and that nothing is trained."""

import re
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY
from hydra import compose, initialize_config_dir

from polytag import build, dry_run
from polytag.callbacks.ema import EMA
from polytag.commands import conf_dir
from polytag.data.datamodule import DataModule
from polytag.data.dataset import Batch
from polytag.errors import UserError
from polytag.schedule.curves import Constant
from polytag.schedule.range_test import Compute
from polytag.schedule.recipe import Phase, Recipe

SIZES = ("recipe.image_sizes=[32,48]", "recipe.epochs=[1,2]")


def data(root):
    return ("data=csv", f"data.root={root}", "data.val_fraction=0.25")  # of 24: 18 to train, 6 to validate


@pytest.fixture
def parts(csv_data):
    """Return a classifier and its data, as `train` builds them."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", [*TINY, *data(csv_data), "paths.output=nowhere"])
    table = build.build_table(config.data)
    classifier = build.build_classifier(config, table, build.build_recipe(config))
    transforms = build.build(config.transforms)
    return classifier, DataModule(table, transforms, lambda epoch: None, batch_size=4, num_workers=0)


def trainer(ranks=1, train_limit=1.0, val_limit=1.0, callbacks=()):
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    return SimpleNamespace(
        world_size=ranks,
        limit_train_batches=train_limit,
        limit_val_batches=val_limit,
        callbacks=list(callbacks),
        strategy=strategy,
        precision="32-true",
    )


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


@pytest.mark.parametrize(
    ("batch_size", "ranks", "limits", "images"),
    [
        (4, 1, (1.0, 1.0), (18, 6)),
        (17, 1, (1.0, 1.0), (17, 6)),  # batch normalisation cannot train on a last batch of one
        (4, 2, (1.0, 1.0), (8, 3)),  # 9 images each: likewise
        (4, 1, (2, 1), (8, 4)),
        (4, 1, (0.5, 0.5), (8, 4)),  # 5 batches and 2, halved
        (4, 1, (None, 0), (18, 0)),
    ],
)
def test_images_of_an_epoch(parts, batch_size, ranks, limits, images):
    phase = Phase(32, 1, 0.1, Constant(), batch_size=batch_size)
    assert dry_run.epoch_images(phase, parts[1], trainer(ranks, *limits)) == images


def test_seconds_and_images_are_added_up_over_epochs_and_ranks(parts, monkeypatch):
    monkeypatch.setattr(dry_run, "measure", lambda *_: (2.0, 0.5))
    recipe = Recipe((Phase(32, 3, 0.1, Constant(), batch_size=6),))

    (cost,) = dry_run.estimate(recipe, *parts, trainer(ranks=2))

    # Each of two ranks: 9 images to train at 2 s, 3 to validate at 0.5 s, three times.
    assert cost == dry_run.Cost(images=54, seconds=58.5)


@pytest.mark.parametrize(("workers", "seconds"), [(0, 3.0), (1, 2.0), (2, 1.0), (8, 1.0)])
def test_loading_goes_on_beside_the_work_where_there_are_workers(monkeypatch, workers, seconds):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(dry_run, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Loader:
        """Batches of two images that take 4 seconds to load; the work on one takes 2."""

        def __len__(self):
            return 2

        def __iter__(self):
            for _ in range(2):
                clock.now += 4
                yield Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1), torch.arange(2))

    def work(batch):
        clock.now += 2

    assert dry_run.seconds_an_image(Loader(), work, workers, torch.device("cpu")) == seconds


def test_no_rows_take_no_time():
    assert dry_run.seconds_an_image([], None, 0, torch.device("cpu")) == 0.0


def test_a_phase_is_measured_as_it_will_be_trained(parts):
    classifier, rows = parts
    seen = []
    classifier.network.register_forward_hook(
        lambda network, inputs, output: seen.append((network.training, *inputs[0].shape))
    )

    phase = Phase(48, 1, 0.1, Constant(), frozen=("early", "late"), batch_size=5)
    training, validation = dry_run.measure(phase, classifier, rows, Compute(torch.device("cpu")), networks=2)

    assert training > 0
    assert validation > 0
    shapes = [(True, 5, 3, 48, 48)] * 3 + [(False, 5, 3, 48, 48)] * 2 + [(False, 1, 3, 48, 48)] * 2
    assert seen == [*shapes, (False, 5, 3, 48, 48), (False, 5, 3, 48, 48)]
    training_parts = {n.split(".")[0] for n, tensor in classifier.network.named_parameters() if tensor.requires_grad}
    assert training_parts == {"head"}


def test_an_average_of_the_weights_is_validated_too(parts, monkeypatch):
    networks = []
    monkeypatch.setattr(dry_run, "measure", lambda *arguments: networks.append(arguments[-1]) or (1.0, 1.0))
    recipe = Recipe((Phase(32, 1, 0.1, Constant()),))

    dry_run.estimate(recipe, *parts, trainer())
    dry_run.estimate(recipe, *parts, trainer(callbacks=[EMA()]))

    assert networks == [1, 2]


def test_too_large_a_batch_is_named(parts, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(dry_run, "measure", fail)
    recipe = Recipe((Phase(256, 2, 0.1, Constant(), batch_size=512),))
    with pytest.raises(UserError, match=r"2 epochs at 256 px, .* batches of 512: lower data\.batch_size"):
        dry_run.estimate(recipe, *parts, trainer())
