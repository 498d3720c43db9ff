"""Soft F-beta: the score itself as a loss, with probabilities in place of yes and no."""

import torch
from torch import Tensor, nn

from polytag.errors import UserError, did_you_mean
from polytag.losses.known import mean_of_known, split_known

AVERAGES: dict[str, tuple[int, ...]] = {"macro": (0,), "micro": (0, 1), "images": (1,)}  # the dimensions summed over
TINY = 1e-12


class SoftFBeta(nn.Module):
    """One minus F-beta of the batch, counted in probabilities.

    A probability p of a present label is p of a hit and 1 - p of a miss. A class (an image, with `images`) without a
    positive in the batch is left out: its F is 0 whatever the probabilities are, so it would add a constant, no
    gradient, and turn the others down. Its false alarms count with `micro` only. A share of MixUp counts as that share
    of a positive. How low the loss is depends on the batch size: that of a whole split compares with none of a batch.
    Source: the sigmoidF1 of Benedict et al. 2021, https://arxiv.org/abs/2108.10566, with their slope 1 and offset 0.

    Args:
        beta: How many times as much recall counts as precision.
        average: `macro`: the mean over classes | `micro`: all labels of the batch counted together | `images`: the mean
            over images.

    Raises:
        UserError: Beta is not above 0, or the average is unknown.
    """

    def __init__(self, beta: float = 1.0, average: str = "macro") -> None:
        super().__init__()
        if not beta > 0:
            raise UserError(f"criterion.beta={beta} has to be above 0.")
        if average not in AVERAGES:
            raise UserError(
                f"criterion.average={average} is none of {', '.join(AVERAGES)}.{did_you_mean(str(average), AVERAGES)}"
            )
        self.beta, self.dimensions = beta, AVERAGES[average]

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        probabilities = torch.where(known, logits.float().sigmoid(), 0.0)
        hits = (probabilities * certain).sum(self.dimensions)
        given, present = probabilities.sum(self.dimensions), certain.sum(self.dimensions)
        # (1 + b^2) hits + b^2 misses + false alarms = given + b^2 present
        scores = (1 + self.beta**2) * hits / (given + self.beta**2 * present).clamp(min=TINY)
        return mean_of_known(1 - scores, present > 0)
