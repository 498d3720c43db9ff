"""Signals in a training: one owner, one checkpoint, and the exit code of a shell."""

import signal

import pytest
import torch
from conftest import TINY

from polytag.callbacks import stopping
from polytag.train import stop_code

OPTIONS = (*TINY, "data=csv", "recipe.image_sizes=[32]", "recipe.epochs=[1,2]")


def train(call, root, folder, number):
    signalled = f"+callbacks.signalled={{_target_: fake.stopping.Signalled, number: {int(number)}}}"
    return call("train", *OPTIONS, f"data.root={root}", f"hydra.run.dir={folder}", signalled)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_signal_is_answered_after_the_batch_and_others_get_theirs_back(call, csv_data, tmp_path, number, code):
    before = signal.getsignal(number)
    done = train(call, csv_data, tmp_path, number)
    assert done.code == code, done.err
    assert "Stopped in epoch 2 of 3" in done.out
    checkpoint = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    # 20 images in batches of 4: five steps, then two, with that in which the signal came.
    assert checkpoint["global_step"] == 7
    assert signal.getsignal(number) == before


def test_submitit_gets_its_signal_when_the_checkpoint_is_there(call, csv_data, tmp_path, monkeypatch):
    seen = []

    def requeue(number, frame):
        seen.append((number, (tmp_path / "checkpoints/last.ckpt").exists()))
        raise SystemExit(-1)  # as submitit ends the first process

    previous = signal.signal(signal.SIGUSR2, requeue)
    try:
        done = train(call, csv_data, tmp_path, signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, previous)
    assert seen == [(signal.SIGUSR2, True)]
    assert done.code == -1
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 7


def test_without_submitit_its_signal_is_nobodys(call, csv_data, tmp_path):
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
    done = train(call, csv_data, tmp_path, 0)  # signal 0 is none
    assert done.code == 0
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


def test_exit_codes():
    assert stop_code(stopping.Stopped(138)) == 138
    assert stop_code(stopping.Stopped(0)) == 0  # another process than the first
    assert stop_code(SystemExit(1)) == 130
    assert stop_code(SystemExit(-1)) is None
    assert stop_code(ValueError()) is None
