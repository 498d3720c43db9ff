"""Stopping a training so that it can go on: Ctrl-C, the signals of a cluster, and a limit of time."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from polytag.callbacks.checkpoint import RunCheckpoint, can_go_on_from

HINT = b"\nStopping after this batch, or after the validation; Ctrl-C again stops at once.\n"
TIME_IS_UP = 124  # the exit code of timeout(1)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
# With several processes they must agree, which makes them wait for one another: after each fourth batch.
EVERY = 4
PATIENCE = 60  # seconds until a re-queued job's other processes end by themselves


class Stopped(SystemExit):
    """The training was stopped and can go on. The code is a shell's: 128 and the signal's number, or 124 for time."""


class Stopping(Checkpoint):
    """End the training after a batch, with a checkpoint, on a signal or when the time is up.

    It owns Ctrl-C, SIGTERM and SIGUSR1 as long as the training lasts: Lightning's own handler of SIGTERM starts a
    collective wherever the process just is, so that ranks which are elsewhere wait for ever. In a job of submitit,
    which owns SIGUSR2, that is taken over too, and handed back when the checkpoint is written.

    The base class is Lightning's mark for callbacks to call after the others; this one must be the last.

    Args:
        max_minutes: Minutes of training that this process may take; None: no limit. A run that is stopped by it goes on
            with the same command.

    Attributes:
        hint: Called at Ctrl-C, to say what happens now. A signal may come at any moment: it must not print.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.max_minutes = max_minutes
        self.hint: Callable[[], object] = _write_hint
        self._code = 0
        self._start = 0.0
        self._handlers: dict[int, Any] = {}  # as they were before

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock and listen."""
        self._start = time.monotonic()
        if threading.current_thread() is not threading.main_thread():
            return
        taken = (signal.SIGUSR2,) if callable(signal.getsignal(signal.SIGUSR2)) else ()
        self._handlers = {number: signal.signal(number, self._note) for number in (*SIGNALS, *taken)}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._code = 128 + number
        if number == signal.SIGINT:
            self.hint()
            signal.signal(number, self._handlers.pop(number))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop where a checkpoint can be continued exactly."""
        if can_go_on_from(trainer, batch_idx) and (trainer.world_size == 1 or batch_idx % EVERY == 0):
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between epochs; after the last one there is nothing left to stop."""
        if trainer.current_epoch + 1 < int(trainer.max_epochs or 0):
            self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if self.max_minutes is not None and time.monotonic() - self._start >= 60 * self.max_minutes:
            self._code = self._code or TIME_IS_UP
        if trainer.world_size > 1:
            codes = torch.tensor(self._code, device=trainer.strategy.root_device)
            self._code = int(trainer.strategy.reduce(codes, reduce_op="max"))
        if not self._code:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it outside of its class
            if isinstance(callback, RunCheckpoint):
                callback.save(trainer)
        if self._code == 128 + signal.SIGUSR2:
            self._hand_over()
        # Another code than 0 from one process makes launchers end the others: only the first has it, when it is done.
        raise Stopped(self._code if trainer.is_global_zero else 0)

    def _hand_over(self) -> None:
        """Let submitit re-queue its job, which ends the first rank here; the others wait for SIGTERM."""
        self._handlers[signal.SIGUSR2](signal.SIGUSR2, None)
        end = time.monotonic() + PATIENCE
        while self._code == 128 + signal.SIGUSR2 and time.monotonic() < end:
            time.sleep(0.1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the signals to others, but SIGTERM: Lightning's handler is harmful still, and goes at its teardown."""
        for number, handler in self._handlers.items():
            if number != signal.SIGTERM:
                signal.signal(number, handler)
        self._handlers = {}

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the signals to others."""
        self.on_train_end(trainer, pl_module)


def _write_hint() -> None:
    os.write(2, HINT)  # print() may be what was interrupted
