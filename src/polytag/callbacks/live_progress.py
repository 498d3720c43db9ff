"""Progress in a terminal: a row an epoch, and a bar below."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytorch_lightning as pl
from rich.live import Live

from polytag.callbacks.early_stopping import EarlyStopping
from polytag.callbacks.progress import EpochLines
from polytag.callbacks.progress import log as log_of_lines
from polytag.callbacks.stopping import Stopping
from polytag.schedule.recipe import Phase, Recipe
from polytag.schedule.time_left import TimeLeft, training_left
from polytag.tracking.console import console
from polytag.tracking.training_bar import EpochTable, TrainingBar

REFRESH = 4  # times a second


class LiveProgress(EpochLines):
    """Rows and a bar on the screen of the first process; `train.log` has the lines.

    The bar is drawn by a thread, from numbers that are copied at the ends of batches: the loss, for which the device
    must be waited for, a few times a second.
    """

    def __init__(self, recipe: Recipe, metric: str) -> None:
        super().__init__(recipe, metric)
        self.bar, self.table = TrainingBar(recipe, metric), EpochTable(recipe, self.names, console.width)
        self._screen = ExitStack()
        self._fetched = 0.0
        self._tells_all = True  # how long all of it takes
        self._seen: dict[Phase, float] = {}  # seconds of an epoch, by its work,
        self._behind: dict[Phase, float] = {}  # and of what comes behind its batches: validation, checkpoints

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the head of the table and the bar."""
        super().on_train_start(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        self.bar.epoch = trainer.current_epoch
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside of its class
        self._tells_all = not any(isinstance(callback, EarlyStopping) for callback in callbacks)
        for callback in callbacks:
            if isinstance(callback, Stopping):
                callback.hint = self._say_stopping
        live = Live(self.bar, console=console, refresh_per_second=REFRESH, transient=True)
        self._screen.enter_context(printed_above(live, but_not=log_of_lines.name))
        console.print(self.table.head, style="bold", highlight=False)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the bar anew."""
        super().on_train_epoch_start(trainer, pl_module)
        self.bar.epoch, self.bar.done, self.bar.validates = trainer.current_epoch, 0, False
        self.bar.batches = int(trainer.num_training_batches)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; copy the loss, if it is time."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        bar = self.bar
        bar.done, bar.batches = batch_idx + 1, int(trainer.num_training_batches)
        bar.images_per_second = self.clock.images_per_second
        if time.monotonic() - self._fetched > 1 / REFRESH and trainer.is_global_zero:
            # Lightning hands over the loss divided by the batches of a step
            bar.loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
            self._fetched = time.monotonic()
        self._tell_time((bar.batches - bar.done) * self.clock.batch_seconds, trainer.num_val_batches)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the bar of the validation."""
        self.bar.done, self.bar.batches, self.bar.validates = 0, sum(map(int, trainer.num_val_batches)), True

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar."""
        self.bar.done = batch_idx + 1

    def _tell_time(self, training: float, validation: Sequence[int | float]) -> None:
        """Work out what is left, from the seconds left of this epoch's training and the batches of its validation."""
        work = self.recipe.phase_at(self.bar.epoch).work
        is_bound = work not in self._behind and sum(validation) > 0
        self.bar.epoch_left = TimeLeft(training + self._behind.get(work, 0.0), is_bound)
        if not self._tells_all:
            return
        # An epoch of a phase that is new takes at least what its batches do.
        sofar = {work: self.clock.seconds + training} if self.clock.is_whole else {}
        left = training_left(self.recipe, self.bar.epoch, self.bar.epoch_left, sofar | self._seen)
        self.bar.all_left = TimeLeft(left.seconds, left.is_bound or work not in self._seen)

    def show(self, epoch: int, scores: dict[str, float]) -> None:
        """Print the row, and keep what the epoch took."""
        super().show(epoch, scores)
        clock, work = self.clock, self.recipe.phase_at(epoch).work
        console.print(self.table.row(epoch, scores, clock.images_per_second, clock.seconds), highlight=False)
        self._behind[work] = clock.seconds - clock.training_seconds
        if clock.is_whole:
            self._seen[work] = clock.seconds
        self.bar.score, self.bar.epoch_left, self.bar.all_left = scores.get(self.metric), None, None

    def _say_stopping(self) -> None:
        self.bar.is_stopping = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the bar away, and close the table."""
        self._screen.close()
        if trainer.is_global_zero:
            console.print()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Take the bar away."""
        self._screen.close()


@contextmanager
def printed_above(live: Live, but_not: str) -> Iterator[None]:
    """Show a live picture; what is printed or logged meanwhile stands above it.

    Args:
        live: Not started yet. It takes over what is printed, but not log handlers, which keep the streams they know.
        but_not: Name of a logger that the screen does not show.
    """

    def is_shown(record: logging.LogRecord) -> bool:
        return record.name != but_not

    known = (sys.stdout, sys.stderr)
    with live:
        above = (sys.stdout, sys.stderr)
        to_screen = [h for h in logging.root.handlers if isinstance(h, logging.StreamHandler) and h.stream in known]
        for handler in to_screen:
            handler.setStream(above[known.index(handler.stream)])
            handler.addFilter(is_shown)
        try:
            yield
        finally:
            for handler in to_screen:
                handler.setStream(known[above.index(handler.stream)])
                handler.removeFilter(is_shown)
