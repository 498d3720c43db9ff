"""A job of a sweep tells its score after each epoch, and stops where others are better."""

from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

if TYPE_CHECKING:
    from polytag.sweep.reporting import JobRecord


class SweepReport(Checkpoint):
    """Report the monitored metric to the ledger; stop all ranks where the pruner says so.

    The base class is Lightning's mark for callbacks to call after the others: the checkpoint is written before.

    Args:
        job: Of the sweep; None on the ranks beside the first.
        metric: What is reported.
        mode: Whether `max` or `min` is better.
    """

    def __init__(self, job: "JobRecord | None", metric: str, mode: str) -> None:
        self.job, self.metric = job, metric
        self._best = max if mode == "max" else min

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, and ask. The last epoch is never pruned: nothing would be saved."""
        epoch, score, prune = trainer.current_epoch + 1, trainer.callback_metrics.get(self.metric), False
        if self.job is not None and score is not None and score == score:
            self.job.report(epoch, float(score))
            prune = epoch < int(trainer.max_epochs or 0) and self.job.should_prune()
        if trainer.world_size > 1:
            prune = trainer.strategy.reduce_boolean_decision(prune, all=False)
        if not prune:
            return
        trainer.should_stop = True
        if self.job is not None:
            self.job.prune(self._best(self.job.ledger.job(self.job.number).intermediate.values()))
