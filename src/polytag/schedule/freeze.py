"""Freezing of layer groups, as a function of the epoch."""

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
from torch import nn

from polytag.models.layer_groups import frozen_modules
from polytag.schedule.recipe import Recipe


def freeze(network: nn.Module, groups: Mapping[str, Sequence[str]], frozen: Sequence[str]) -> None:
    """Stop the gradient of the named groups and give the others theirs back; repeating it changes nothing.

    Modules that are frozen as a whole go to eval mode: batch normalisation then uses its running statistics and leaves
    them alone, and dropout and drop-path are off.
    """
    parameters = dict(network.named_parameters())
    for group, names in groups.items():
        for name in names:
            parameters[name].requires_grad_(group not in frozen)
    network.train()
    for module in frozen_modules(network, groups, frozen):
        module.eval()


class Freeze(pl.Callback):
    """Apply each phase's frozen groups.

    Done at the start of the training, which after a resume may lie in the middle of an epoch, and at the first batch
    of each epoch, because validation switches modules between train and eval. It happens after DDP has wrapped the
    network: parameters frozen before that would never be synchronised once they train.
    """

    def __init__(self, recipe: Recipe, groups: Mapping[str, Sequence[str]]) -> None:
        self.recipe, self.groups = recipe, groups

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze what the current phase freezes."""
        self._apply(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Freeze what the current phase freezes, at the first batch of an epoch."""
        if batch_idx == 0:
            self._apply(trainer, pl_module)

    def _apply(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        freeze(pl_module.get_submodule("network"), self.groups, self.recipe.phase_at(trainer.current_epoch).frozen)
