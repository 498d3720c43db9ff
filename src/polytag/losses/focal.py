"""Focal loss: binary cross-entropy in which what is right already counts less."""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from polytag.errors import UserError
from polytag.losses.focusing import focused
from polytag.losses.known import mean_of_known, split_known


class Focal(nn.Module):
    """Focal loss, averaged over what is known of images and labels; the paper divides by the number of positives.

    It is linear in the targets: a share of MixUp counts as that share of an image that has the label. Source: Lin et
    al. 2017, https://arxiv.org/abs/1708.02002.

    Args:
        gamma: How strongly what is right is turned down; 0: not at all, which is binary cross-entropy.
        alpha: Weight of the positives, the negatives have 1 - alpha; None: both count in full.

    Raises:
        UserError: Gamma is below 0, or alpha outside 0 to 1.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        if not gamma >= 0:
            raise UserError(f"criterion.gamma={gamma} has to be 0 or more.")
        if alpha is not None and not 0 <= alpha <= 1:
            raise UserError(f"criterion.alpha={alpha} has to lie between 0 and 1, or be null.")
        self.gamma = gamma
        self.weights = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        logits, (of_positives, of_negatives) = logits.float(), self.weights
        positives = of_positives * certain * focused(logsigmoid(logits), self.gamma)
        negatives = of_negatives * (1 - certain) * focused(logsigmoid(-logits), self.gamma)
        return mean_of_known(positives + negatives, known)
