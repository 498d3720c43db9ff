"""End a phase, or the whole run, when the monitored metric no longer gets better."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from polytag.errors import UserError
from polytag.schedule.recipe import Recipe


class EarlyStopping(Checkpoint):
    """Stop after `patience` epochs without an improvement.

    A phase is ended by moving Lightning's epoch counters to its last epoch. The recipe is a function of the epoch, so
    the next phase follows at once, and the counters in the checkpoint are all that a resume needs. The base class is
    Lightning's mark for callbacks to call after the epoch's metrics are known; this one comes before the checkpoint.

    Args:
        recipe: Says where phases end.
        metric: Name of the monitored metric.
        mode: `max` or `min`.
        patience: Epochs without improvement that are allowed.
        min_delta: Smaller changes are no improvement.
        scope: `phase` ends the phase, `run` the run.
    """

    def __init__(
        self, recipe: Recipe, metric: str, mode: str, patience: int = 3, min_delta: float = 0.0, scope: str = "phase"
    ) -> None:
        if scope not in ("phase", "run"):
            raise UserError(f"callbacks.early_stopping.scope: {scope!r} is neither phase nor run.")
        self.recipe, self.metric, self.mode = recipe, metric, mode
        self.patience, self.min_delta, self.scope = patience, min_delta, scope
        self.best: float | None = None
        self.wait = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count, and stop when the patience is over."""
        score = trainer.callback_metrics.get(self.metric)
        epoch = trainer.current_epoch
        if score is None:
            return
        self._count(float(score))
        if self.wait >= self.patience:
            self._stop(trainer, epoch)
        if self.scope == "phase" and self.recipe.is_phase_end(trainer.current_epoch):
            self.best, self.wait = None, 0  # another size, other scores: each phase starts afresh

    def _count(self, score: float) -> None:
        gain = 0.0 if self.best is None else (score - self.best) * (1 if self.mode == "max" else -1)
        if self.best is None or gain > self.min_delta:
            self.best, self.wait = score, 0
        else:
            self.wait += 1

    def _stop(self, trainer: pl.Trainer, epoch: int) -> None:
        if self.scope == "run":
            trainer.should_stop = True
            return
        skipped = self.recipe.phase_end(epoch) - epoch
        progress = trainer.fit_loop.epoch_progress.current
        for counter in ("ready", "started", "processed", "completed"):
            setattr(progress, counter, getattr(progress, counter) + skipped)

    def state_dict(self) -> dict[str, Any]:
        """Return the count so far."""
        return {"best": self.best, "wait": self.wait}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the count of a checkpoint."""
        self.best, self.wait = state_dict["best"], int(state_dict["wait"])
