"""When `last.ckpt` and `best.ckpt` are written at the ends of epochs."""

import math

import pytest
from conftest import TINY

from polytag.callbacks.checkpoint import RunCheckpoint
from polytag.inference.loaded_run import read_checkpoint


@pytest.fixture
def saved(monkeypatch):
    """Return the epochs after which `last.ckpt` was written; saving seems to have taken an hour."""
    epochs = []
    save = RunCheckpoint.save

    def noted(self, trainer):
        epochs.append(trainer.current_epoch)
        save(self, trainer)
        self._took = 3600.0

    monkeypatch.setattr(RunCheckpoint, "save", noted)
    return epochs


def train(call, csv_data, *options):
    arguments = (*TINY, "data=csv", f"data.root={csv_data}", "recipe.image_sizes=[32]", "recipe.epochs=[3,4]")
    done = call("train", *arguments, "hydra.run.dir=run", *options)
    assert done.code == 0, done.err


def test_of_epochs_that_are_short_beside_saving_the_best_and_the_phases_last_are_saved(
    call, csv_data, saved, monkeypatch
):
    better = iter([True, False, False, False, True, False, False])
    monkeypatch.setattr(RunCheckpoint, "_is_better", lambda self, value: next(better))
    train(call, csv_data)
    assert saved == [0, 2, 4, 6]


def test_without_validation_only_the_ends_of_phases_must_be_saved(call, csv_data, tmp_path, saved):
    train(call, csv_data, "data.val_fraction=0")
    assert saved == [0, 2, 6]  # the first, because nobody knew how long saving takes
    assert read_checkpoint(tmp_path / "run/checkpoints/best.ckpt")["epoch"] == 6


def test_every_minutes_0_saves_each_epoch(call, csv_data, saved):
    train(call, csv_data, "data.val_fraction=0", "callbacks.checkpoint.every_minutes=0")
    assert set(range(7)) <= set(saved)


def test_long_epochs_are_saved(call, csv_data, saved, monkeypatch):
    monkeypatch.setattr(RunCheckpoint, "_is_better", lambda self, value: False)
    save = RunCheckpoint.save

    def quick(self, trainer):
        save(self, trainer)
        self._took = -math.inf

    monkeypatch.setattr(RunCheckpoint, "save", quick)
    train(call, csv_data)
    assert set(range(7)) <= set(saved)
