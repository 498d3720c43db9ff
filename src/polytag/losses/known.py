"""Partial labels: what is unknown of an image takes no part in a loss."""

import torch
from torch import Tensor

# The logit of what takes no part in a softmax. Not minus infinity: where nothing else is left, its gradient is NaN.
OUT = -1e30


def soft_targets(targets: Tensor) -> Tensor:
    """Return int8 targets as floats, NaN where unknown: what is mixed with something unknown is unknown then too."""
    return targets.float().masked_fill_(targets < 0, float("nan"))


def split_known(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return float targets with 0 in place of what is unknown (NaN or below 0), and a mask of what is known."""
    known = targets >= 0
    return torch.where(known, targets.float(), 0.0), known


def mean_of_known(losses: Tensor, known: Tensor) -> Tensor:
    """Return the mean of losses over what is known, in any shape; 0, which pulls at nothing, where nothing is."""
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


def log_softmax_of_known(logits: Tensor, known: Tensor) -> Tensor:
    """Return the log-softmax of ``(B, L)`` logits over what is known of each row; the rest is far below and fixed."""
    return logits.masked_fill(~known, OUT).log_softmax(1)
