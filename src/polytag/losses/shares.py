"""Shares: what a softmax, which gives one answer, makes of several labels or none."""

from torch import Tensor


def shares_of(certain: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each label of ``(B, G)`` known targets gets of its row's answer, and how much the row counts.

    Several labels share alike, and a row without one counts 0. A row whose targets add up to less than 1, because it
    was mixed with one without a label, counts that much: the loss of a mixed row is that of its parts, mixed.

    Returns:
        ``(B, G)`` shares, which add up to the weight, and ``(B,)`` weights from 0 to 1.
    """
    total = certain.sum(1)
    return certain / total.clamp(min=1).unsqueeze(1), total.clamp(max=1)


def mean_by_weight(losses: Tensor, weight: Tensor) -> Tensor:
    """Return the sum of losses for each unit of weight; 0, which pulls at nothing, where there is no weight."""
    return losses / weight.where(weight > 0, 1.0)
