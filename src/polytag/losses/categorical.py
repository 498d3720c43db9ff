"""Softmax cross-entropy over all classes, for comparison: the labels of an image share one answer."""

import logging

from torch import Tensor, nn

from polytag.losses.known import log_softmax_of_known, split_known
from polytag.losses.shares import mean_by_weight, shares_of
from polytag.models.activations import Activation

log = logging.getLogger(__name__)


class Categorical(nn.Module):
    """Cross-entropy of a softmax with targets of 1/k for each of k labels, averaged over the images that have one.

    Unknown classes take no part in the softmax of their image. A share of MixUp counts as that share of an image that
    has the label. Source: Mahajan et al. 2018, https://arxiv.org/abs/1805.00932, who trained on hashtags with it.

    Attributes:
        activation: A softmax over all classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.activation = Activation("softmax")
        log.warning(
            "criterion categorical: its softmax shares a probability of 1 among all labels of an image, so that at "
            "most one of them can reach a probability above 0.5. For images with several labels take criterion=bce."
        )

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        shares, weights = shares_of(certain)
        losses = -(shares * log_softmax_of_known(logits.float(), known))
        return mean_by_weight(losses.sum(), weights.sum())
