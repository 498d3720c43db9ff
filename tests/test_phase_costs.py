"""What phases take: counts, sums, and that each is measured as it will be trained."""

from types import SimpleNamespace

import pytest
import torch
from conftest import TINY
from hydra import compose, initialize_config_dir

from polytag import build, phase_costs
from polytag.callbacks.ema import EMA
from polytag.commands import conf_dir
from polytag.data.datamodule import DataModule
from polytag.data.dataset import Batch
from polytag.errors import UserError
from polytag.phase_costs import Pace, Paces
from polytag.schedule.curves import Constant, OneCycle
from polytag.schedule.range_test import Compute
from polytag.schedule.recipe import Phase, Recipe


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
    assert phase_costs.epoch_images(phase, parts[1], trainer(ranks, *limits)) == images


def measured(training, validation, head=0.0, start=0.0):
    return lambda *_: Paces(Pace(training, start), Pace(validation, 0.0), Pace(head, 0.0))


def test_seconds_and_images_are_added_up_over_epochs_and_ranks(parts, monkeypatch):
    monkeypatch.setattr(phase_costs, "measure", measured(2.0, 0.5))
    recipe = Recipe((Phase(32, 3, 0.1, Constant(), batch_size=6),))

    (cost,) = phase_costs.estimate(recipe, *parts, trainer(ranks=2))

    # Each of two ranks: 9 images to train at 2 s, 3 to validate at 0.5 s, three times.
    assert cost == phase_costs.Cost(images=54, seconds=58.5)


def test_an_average_of_the_weights_is_validated_too(parts, monkeypatch):
    monkeypatch.setattr(phase_costs, "measure", measured(2.0, 0.5))
    recipe = Recipe((Phase(32, 1, 0.1, Constant()),))

    (cost,) = phase_costs.estimate(recipe, *parts, trainer(callbacks=[EMA()]))

    assert cost.seconds == 18 * 2.0 + 6 * 0.5 * 2


def test_features_are_computed_once_and_the_head_works_on_them(parts, monkeypatch):
    monkeypatch.setattr(phase_costs, "measure", measured(2.0, 0.5, head=0.01))
    phase = Phase(32, 100, 0.1, Constant(), frozen=("early", "late"), precompute=True, views=8)

    (cost,) = phase_costs.estimate(Recipe((phase,)), *parts, trainer())
    (averaged,) = phase_costs.estimate(Recipe((phase,)), *parts, trainer(callbacks=[EMA()]))

    # 18 images seen from 8 sides and 6 from one; then 24 go through the head a hundred times.
    assert cost.seconds == pytest.approx(18 * 8 * 0.5 + 6 * 0.5 + 100 * 24 * 0.01)
    assert averaged.seconds == pytest.approx(18 * 8 * 0.5 + 100 * (18 * 0.01 + 6 * 0.5 * 2))


def test_phases_alike_are_measured_once_and_start_once(parts, monkeypatch):
    calls = []
    monkeypatch.setattr(phase_costs, "measure", lambda *_: calls.append(1) or measured(1.0, 0.0, start=7.0)())
    recipe = Recipe((Phase(32, 1, 0.1, Constant()), Phase(32, 2, 0.2, OneCycle()), Phase(48, 1, 0.1, Constant())))

    costs = phase_costs.estimate(recipe, *parts, trainer())

    assert len(calls) == 2
    assert [cost.start for cost in costs] == [7.0, 0.0, 7.0]


@pytest.mark.parametrize(("workers", "seconds"), [(0, 3.0), (1, 2.0), (2, 1.0), (8, 1.0)])
def test_loading_goes_on_beside_the_work_where_there_are_workers(monkeypatch, workers, seconds):
    clock = SimpleNamespace(now=0.0, works=0)
    monkeypatch.setattr(phase_costs, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Loader:
        """Batches of two images that take 4 seconds to load; the work on one takes 2, on the first 30."""

        def __len__(self):
            return 2

        def __iter__(self):
            for _ in range(2):
                clock.now += 4
                yield Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1), torch.arange(2))

    def work(batch):
        clock.works += 1
        clock.now += 30 if clock.works == 1 else 2

    assert phase_costs.pace(Loader(), work, workers, torch.device("cpu")) == (seconds, 28.0)


def test_no_rows_take_no_time():
    assert phase_costs.pace([], None, 0, torch.device("cpu")) == (0.0, 0.0)


@pytest.mark.parametrize("precompute", [False, True])
def test_a_phase_is_measured_as_it_will_be_trained(parts, precompute):
    classifier, rows = parts
    seen, headed = [], []
    classifier.network.register_forward_hook(
        lambda network, inputs, output: seen.append((network.training, *inputs[0].shape))
    )
    classifier.network.head.register_forward_hook(lambda head, inputs, output: headed.append(inputs[0].shape[0]))

    phase = Phase(48, 1, 0.1, Constant(), frozen=("early", "late"), batch_size=5, precompute=precompute)
    paces = phase_costs.measure(phase, classifier, rows, Compute(torch.device("cpu")))

    assert paces.training.seconds > 0
    assert paces.validation.seconds > 0
    assert (paces.head.seconds > 0) == precompute
    shapes = [(True, 5, 3, 48, 48)] * 3 + [(False, 5, 3, 48, 48), (False, 1, 3, 48, 48), (False, 5, 3, 48, 48)]
    assert seen == shapes
    assert len(headed) == 6 + 3 * precompute
    training_parts = {n.split(".")[0] for n, tensor in classifier.network.named_parameters() if tensor.requires_grad}
    assert training_parts == {"head"}


def test_too_large_a_batch_is_named(parts, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(phase_costs, "pace", fail)
    phase = Phase(48, 2, 0.1, Constant(), batch_size=512)
    with pytest.raises(UserError, match=r"2 epochs at 48 px, .* batches of 512: lower data\.batch_size"):
        phase_costs.estimate(Recipe((phase,)), *parts, trainer())
