"""`metrics.csv`: one row an epoch."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from polytag.callbacks.timing import Timing
from polytag.run_folder import RunFolder
from polytag.schedule.recipe import Recipe, position_at


class History(Checkpoint):
    """Write each epoch's losses, metrics, rates, image size and frozen groups to the run folder and to the loggers.

    A logger gets them as one row, under the number of the epoch's last step, so that each can be seen over any other.

    Rows at or after the epoch that a resumed run starts with are cut off first, so the file reads like that of an
    uninterrupted run; it holds no times for the same reason. The base class is Lightning's mark for callbacks to call
    after the module has logged its own epoch metrics.

    Args:
        folder: The run folder.
        recipe: Gives the phases and the rates.
        timing: Counts the images.
    """

    def __init__(self, folder: RunFolder, recipe: Recipe, timing: Timing) -> None:
        self.folder, self.recipe, self.timing = folder, recipe, timing

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Cut the file back to the epochs that are done."""
        if trainer.is_global_zero:
            self.folder.cut_history(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the row of this epoch."""
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch
        phase = self.recipe.phase_at(epoch)
        last = position_at(epoch, int(trainer.num_training_batches) - 1, int(trainer.num_training_batches))
        row: dict[str, Any] = {
            "epoch": epoch,
            "phase": self.recipe.index_at(epoch),
            "image_size": phase.image_size,
            "frozen": "+".join(phase.frozen),
            **{f"lr/{group}": rate for group, rate in self.recipe.group_lrs(last).items()},
            "images_seen": self.timing.images,
            **{name: float(value) for name, value in sorted(trainer.callback_metrics.items()) if "/" in name},
        }
        self.folder.append_history(row)
        frozen = {f"frozen/{group}": int(group in phase.frozen) for group in self.recipe.groups}
        sent = {"frozen", *trainer.logged_metrics}  # what Lightning sends by itself: of other callbacks and modules
        for logger in trainer.loggers:
            logger.log_metrics(
                {name: value for name, value in (row | frozen).items() if name not in sent}, trainer.global_step
            )
