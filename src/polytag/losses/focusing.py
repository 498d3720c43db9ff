"""Focusing: what is right already counts less."""

from torch import Tensor

# The smallest share by which a loss is turned down. Below 1 a power of 0 has no gradient; this is 0 to a loss.
TINY = 1e-30


def focused(log_probabilities: Tensor, gamma: float) -> Tensor:
    """Return -(1 - p)^gamma log p of the log-probabilities of what is true; finite with its gradient for any of them.

    Gamma 0 is the cross-entropy. Source: the focal loss, Lin et al. 2017, https://arxiv.org/abs/1708.02002.
    """
    if gamma == 0:
        return -log_probabilities
    wrong = -log_probabilities.expm1()  # 1 - p, exact also where p is nearly 1
    return -log_probabilities * wrong.clamp(min=TINY).pow(gamma)
