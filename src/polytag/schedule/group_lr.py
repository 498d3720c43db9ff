"""Learning rates and momentum of layer groups, as a function of the position."""

import pytorch_lightning as pl
from torch.optim import Optimizer

from polytag.schedule.recipe import Recipe, position_at


def set_momentum(optimizer: Optimizer, momentum: float | None) -> None:
    """Set the momentum of an optimizer that has one, which Adam and its kin call beta1; None is the optimizer's own.

    An optimizer whose own momentum is 0 is left without: its user wants none.
    """
    own, own_beta1 = optimizer.defaults.get("momentum"), optimizer.defaults.get("betas", (0.0,))[0]
    for group in optimizer.param_groups:
        if own_beta1:
            group["betas"] = (own_beta1 if momentum is None else momentum, *group["betas"][1:])
        if own:
            group["momentum"] = own if momentum is None else momentum


class GroupLR(pl.Callback):
    """Set each optimizer group's rate and momentum at each batch, and start each phase with a fresh optimizer state.

    The state is cleared at the first batch of a phase's first epoch and nowhere else: a run that resumes inside a
    phase keeps the momenta it had.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Set the rates of this batch."""
        epoch, batches = trainer.current_epoch, int(trainer.num_training_batches)
        position = position_at(epoch, batch_idx, batches, trainer.accumulate_grad_batches)
        rates = self.recipe.group_lrs(position)
        for optimizer in trainer.optimizers:
            if batch_idx == 0 and self.recipe.is_phase_start(epoch):
                optimizer.state.clear()
            set_momentum(optimizer, self.recipe.momentum(position))
            for group in optimizer.param_groups:
                group["lr"] = rates[group["name"]]
