"""Batch normalisation on several processes: does it train, and the layers that take the statistics of all of them."""

from typing import TYPE_CHECKING

from timm.layers import convert_sync_batchnorm
from torch.nn.modules.batchnorm import _BatchNorm

from polytag.models.layer_groups import frozen_modules, layer_groups

if TYPE_CHECKING:
    from polytag.models.network import Network
    from polytag.schedule.recipe import Recipe


def batch_norm_trains(network: "Network", recipe: "Recipe") -> bool:
    """Whether any phase normalises with the statistics of its batches."""
    network.train()
    groups = layer_groups(network)
    for phase in recipe.phases:
        frozen = {id(m) for top in frozen_modules(network, groups, phase.frozen) for m in top.modules()}
        if any(isinstance(m, _BatchNorm) and m.training and id(m) not in frozen for m in network.modules()):
            return True
    return False


def synchronise(network: "Network") -> None:
    """Let batch normalisation take the statistics of all processes' batches together; weights and their names stay.

    timm's conversion: Lightning's, which is torch's, drops the activations that timm's layers hold.
    """
    for name, child in list(network.named_children()):
        network.add_module(name, convert_sync_batchnorm(child))
