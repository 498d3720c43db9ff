"""Asymmetric loss: a focal loss that turns easy negatives down more than easy positives, and drops the easiest."""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from polytag.errors import UserError
from polytag.losses.focusing import focused
from polytag.losses.known import mean_of_known, split_known


class ASL(nn.Module):
    """Asymmetric loss, averaged over what is known of images and labels.

    The paper's code sums: with B images of L labels its gradients are B * L times these. A learning rate from there has
    to be multiplied by that for SGD; for Adam, which undoes the scale of gradients, it stays. Gammas and clip of 0 are
    binary cross-entropy. It is linear in the targets: a share of MixUp counts as that share of an image that has the
    label. Source: Ridnik et al. 2021, https://arxiv.org/abs/2009.14119; gamma_positive is 0 in its experiments and 1
    in the class of its code.

    Args:
        gamma_negative: How strongly negatives that are right are turned down.
        gamma_positive: How strongly positives that are right are turned down.
        clip: Negatives with at most this probability count nothing; those above as if they had this much less.

    Raises:
        UserError: A gamma is below 0, or the clip outside 0 to below 1.
    """

    def __init__(self, gamma_negative: float = 4.0, gamma_positive: float = 0.0, clip: float = 0.05) -> None:
        super().__init__()
        for name, gamma in (("gamma_negative", gamma_negative), ("gamma_positive", gamma_positive)):
            if not gamma >= 0:
                raise UserError(f"criterion.{name}={gamma} has to be 0 or more.")
        if not 0 <= clip < 1:
            raise UserError(f"criterion.clip={clip} has to be at least 0 and below 1.")
        self.gamma_negative, self.gamma_positive = gamma_negative, gamma_positive
        self.clip = clip

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        logits = logits.float()
        absent = ((-logits).sigmoid() + self.clip).clamp(max=1).log() if self.clip else logsigmoid(-logits)
        positives = certain * focused(logsigmoid(logits), self.gamma_positive)
        negatives = (1 - certain) * focused(absent, self.gamma_negative)
        return mean_of_known(positives + negatives, known)
