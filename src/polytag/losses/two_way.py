"""Two-way multi-label loss: positives against negatives, within each image and within each class."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from polytag.errors import UserError
from polytag.losses.known import OUT, mean_of_known, split_known


class TwoWay(nn.Module):
    """Softplus of the highest negative logit minus the lowest positive one, both softened, over images plus classes.

    For an image, with its positives P and negatives N among the classes: softplus(Tn log sum_N exp(x / Tn) +
    Tp log sum_P exp(-x / Tp)); for a class the same among the images of the batch. Each way is averaged over what has a
    positive. Only differences of logits count: adding a number to all changes nothing, so that they rank, but 0 is no
    natural threshold and their sigmoid no probability. How low the loss is depends on the batch size.

    A target between 0 and 1 stands on both sides, weighed by its share in the sums. Source: Kobayashi, CVPR 2023,
    https://openaccess.thecvf.com/content/CVPR2023/papers/Kobayashi_Two-Way_Multi-Label_Loss_CVPR_2023_paper.pdf

    Args:
        temperature_positive: Tp; the higher, the more positives count besides the lowest.
        temperature_negative: Tn; the higher, the more negatives count besides the highest.

    Raises:
        UserError: A temperature is not above 0.

    Attributes:
        only_ranks: True: whoever decides by a threshold has to search it.
    """

    only_ranks = True

    def __init__(self, temperature_positive: float = 4.0, temperature_negative: float = 1.0) -> None:
        super().__init__()
        named = {"temperature_positive": temperature_positive, "temperature_negative": temperature_negative}
        for name, temperature in named.items():
            if not temperature > 0:
                raise UserError(f"criterion.{name}={temperature} has to be above 0.")
        self.temperature_positive, self.temperature_negative = temperature_positive, temperature_negative

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        logits, present = logits.float(), certain > 0
        positives = _weighed(-logits / self.temperature_positive, certain, present)
        negatives = _weighed(logits / self.temperature_negative, 1 - certain, known & (certain < 1))
        loss = torch.zeros((), device=logits.device)
        for dimension in (0, 1):  # the images of a class, the classes of an image
            low = self.temperature_positive * positives.logsumexp(dimension)
            high = self.temperature_negative * negatives.logsumexp(dimension)
            loss = loss + mean_of_known(softplus(high + low), present.any(dimension))
        return loss


def _weighed(exponents: Tensor, weights: Tensor, counted: Tensor) -> Tensor:
    """Return exponents whose exponentials are multiplied by weights above 0; far below all others where not counted."""
    return (exponents + torch.where(counted, weights, 1.0).log()).masked_fill(~counted, OUT)
