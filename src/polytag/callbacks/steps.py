"""`steps.csv`: one row an optimizer step."""

from typing import Any

import pytorch_lightning as pl
import torch

from polytag.callbacks.timing import Timing
from polytag.run_folder import RunFolder

FLUSH = 50  # steps


class StepHistory(pl.Callback):
    """Write each step's loss, rates and images seen to the run folder; every `log_every_n_steps`-th to the loggers too.

    The losses stay on their device until some have come together: asking for each would make a GPU wait. They are
    written before each checkpoint, and a run that goes on cuts the file back to its checkpoint's step.

    Args:
        folder: The run folder.
        timing: Counts the images; it must be called before.
    """

    def __init__(self, folder: RunFolder, timing: Timing) -> None:
        self.folder, self.timing = folder, timing
        self._rows: list[dict[str, Any]] = []
        self._losses: list[torch.Tensor] = []
        self._of_step: list[torch.Tensor] = []  # several where gradients are accumulated
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Cut the file back to the steps that are done."""
        self._step = trainer.global_step
        if trainer.is_global_zero:
            self.folder.cut_steps(self._step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the row of a step behind its last batch."""
        self._of_step.append(outputs["loss"] * trainer.accumulate_grad_batches)  # Lightning has divided by it
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._losses.append(self._of_step[0] if len(self._of_step) == 1 else torch.stack(self._of_step).mean())
        self._of_step = []
        rates = {f"lr/{group['name']}": group["lr"] for group in trainer.optimizers[0].param_groups}
        row = {"step": self._step, "epoch": trainer.current_epoch, "images_seen": self.timing.images}
        self._rows.append({**row, "train/loss_step": 0.0, **rates})
        if len(self._rows) >= FLUSH:
            self._flush(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what has come together."""
        self._flush(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write what has come together: a run that goes on from the checkpoint must find it."""
        self._flush(trainer)
        if trainer.is_global_zero:
            self.folder.sync_steps()

    def _flush(self, trainer: pl.Trainer) -> None:
        """Write the rows. The loss of several processes is their mean, as their gradients' is."""
        if not self._rows:
            return
        losses = trainer.strategy.reduce(torch.stack(self._losses), reduce_op="mean").tolist()
        rows = [row | {"train/loss_step": loss} for row, loss in zip(self._rows, losses, strict=True)]
        self._rows, self._losses = [], []
        if not trainer.is_global_zero:
            return
        self.folder.append_steps(rows)
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it outside of its class
        for row in rows:
            if row["step"] % every == 0 or row["step"] == 1:
                for logger in trainer.loggers:
                    logger.log_metrics({name: value for name, value in row.items() if name != "step"}, row["step"])
