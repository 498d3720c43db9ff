"""Whether probabilities are what they say: of what gets 0.7, seven in ten should be there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polytag.errors import UserError
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import less_is_better, macro, ratio


@less_is_better
def calibration_error(evaluation: Evaluation, bins: int = 15) -> Tensor:
    """Expected calibration error of each class's probabilities, mean over the classes.

    Args:
        evaluation: What to score.
        bins: How many parts of equal width 0 to 1 is cut into (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Raises:
        UserError: Less than one bin.
    """
    return macro(class_calibration_errors(evaluation, bins))


def class_calibration_errors(evaluation: Evaluation, bins: int = 15) -> Tensor:
    """Return the ``(B, L)`` errors: mean over images of the gap, in each one's bin, of mean probability and share."""
    if bins < 1:
        raise UserError(f"bins={bins} of a calibration error has to be 1 or more.")
    places = (evaluation.probabilities.double() * bins).long().clamp(max=bins - 1)
    gaps = torch.where(evaluation.known, evaluation.probabilities.double() - evaluation.positives.double(), 0.0)
    errors = []
    for column in range(gaps.shape[1]):
        spread = torch.zeros(len(gaps), bins, dtype=torch.float64)
        spread.scatter_(1, places[:, column : column + 1], gaps[:, column : column + 1])
        errors.append(evaluation.total(spread).abs().sum(1))
    return ratio(torch.stack(errors, 1), evaluation.total(evaluation.known), torch.nan)


@dataclass(frozen=True)
class Reliability:
    """The known decisions of all classes together, in K bins of equal width of their probabilities.

    Attributes:
        counts: ``(K,)`` decisions in each bin.
        probabilities: ``(K,)`` their mean probability; NaN in an empty bin.
        shares: ``(K,)`` share of them that are true; NaN in an empty bin.
    """

    counts: Tensor
    probabilities: Tensor
    shares: Tensor

    @property
    def error(self) -> float:
        """Expected calibration error of all decisions together; NaN without one."""
        gaps = (self.probabilities - self.shares).abs().nan_to_num(0.0)
        return float((gaps * self.counts).sum() / self.counts.sum())


def reliability(evaluation: Evaluation, bins: int = 15) -> Reliability:
    """Return what a reliability diagram shows, of an evaluation without weights."""
    assert evaluation.weights is None
    probabilities = evaluation.probabilities[evaluation.known].double()
    places = (probabilities * bins).long().clamp(max=bins - 1)
    hits = evaluation.positives[evaluation.known].double()
    counts, sums, true = (
        torch.bincount(places, weights, bins).double() for weights in (torch.ones_like(hits), probabilities, hits)
    )
    return Reliability(counts, sums / counts, true / counts)
