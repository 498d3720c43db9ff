"""Learning rates of layer groups, as a function of the position."""

import pytorch_lightning as pl

from polytag.schedule.recipe import Recipe, position_at


class GroupLR(pl.Callback):
    """Set each optimizer group's rate at each batch, and start each phase with a fresh optimizer state.

    The state is cleared at the first batch of a phase's first epoch and nowhere else: a run that resumes inside a
    phase keeps the momenta it had.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Set the rates of this batch."""
        epoch = trainer.current_epoch
        batches = int(trainer.num_training_batches)
        rates = self.recipe.group_lrs(position_at(epoch, batch_idx, batches, trainer.accumulate_grad_batches))
        for optimizer in trainer.optimizers:
            if batch_idx == 0 and self.recipe.is_phase_start(epoch):
                optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] = rates[group["name"]]
