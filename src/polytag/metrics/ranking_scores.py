"""Scores of the order of the probabilities, whatever the policy. docs/evaluation.md has definitions with sources."""

from collections.abc import Callable

import torch
from torch import Tensor

from polytag.metrics.evaluation import Evaluation
from polytag.metrics.ranking import Sums, tie_bounds
from polytag.metrics.scores import check_average, less_is_better, macro, ratio


def average_precision(evaluation: Evaluation, average: str = "macro") -> Tensor:
    """Area under the precision-recall steps, as scikit-learn defines it, without interpolation.

    Args:
        evaluation: What to score.
        average: `macro`: mean over the classes that have a positive | `weighted`: the same, each class by its
            positives | `micro`: of all decisions of all classes in one ranking.

    Raises:
        UserError: An unknown average.
    """
    check_average("average precision", average, ("macro", "weighted", "micro"))
    if average == "micro":
        return _area_under_steps(evaluation.common_sums)
    values = class_average_precisions(evaluation)
    if average == "macro":
        return macro(values)
    positives = torch.stack([sums.positives for sums in evaluation.class_sums], 1)
    return (values.nan_to_num(0.0) * positives).sum(1) / positives.sum(1)


def class_average_precisions(evaluation: Evaluation) -> Tensor:
    """Return the ``(B, L)`` average precision of each class; NaN without a positive."""
    return _of_classes(evaluation, _area_under_steps)


def class_roc_aucs(evaluation: Evaluation) -> Tensor:
    """Return the ``(B, L)`` area under the ROC curve of each class; NaN without a positive or a negative."""
    return _of_classes(evaluation, _area_under_roc)


def voc07_average_precision(evaluation: Evaluation) -> Tensor:
    """Average precision of PASCAL VOC 2007, mean over the classes: precision at the recalls 0, 0.1, ... 1.

    At each of the 11 recalls the highest precision counts that is reached at that recall or a higher one
    (Everingham et al. 2010, section 4.2).
    """
    return macro(_of_classes(evaluation, _eleven_points))


def roc_auc(evaluation: Evaluation, average: str = "macro") -> Tensor:
    """Area under the ROC curve: how often a positive has a higher probability than a negative, ties counting half.

    Args:
        evaluation: What to score.
        average: `macro`: mean over the classes that have a positive and a negative | `micro`: of all decisions.

    Raises:
        UserError: An unknown average.
    """
    check_average("ROC AUC", average, ("macro", "micro"))
    if average == "micro":
        return _area_under_roc(evaluation.common_sums)
    return macro(class_roc_aucs(evaluation))


@less_is_better
def ranking_loss(evaluation: Evaluation) -> Tensor:
    """Share of an image's pairs of a true and a false label that are in the wrong order, ties too; mean over images.

    An image without a true or without a false label counts 0 (Tsoumakas et al. 2010, as in scikit-learn).
    """
    order = evaluation.once(_Order)
    pairs = order.positives * order.negatives
    above = order.right.gather(1, order.start) - order.hits.gather(1, order.start).double()  # positives above the tie
    wrong = torch.where(order.misses, order.positives.unsqueeze(1) - above, 0.0).sum(1)
    return evaluation.mean(ratio(wrong, pairs, 0.0))


@less_is_better
def coverage_error(evaluation: Evaluation) -> Tensor:
    """How far down an image's ranked labels one has to go to have all true ones; mean over images.

    The best value is the mean number of labels; an image without labels counts 0 (as in scikit-learn; Tsoumakas et al.
    2010 count one less).
    """
    order = evaluation.once(_Order)
    return evaluation.mean(torch.where(order.hits, order.end + 1.0, 0.0).amax(1))


def label_ranking_average_precision(evaluation: Evaluation) -> Tensor:
    """For each true label, the share of true ones among those ranked as high; mean over labels, then over images.

    An image without a true or without a false label counts 1 (Schapire and Singer 2000, as in scikit-learn).
    """
    order = evaluation.once(_Order)
    precision = order.right.gather(1, order.end) / (order.end + 1)
    values = torch.where(order.hits, precision, 0.0).sum(1)
    return evaluation.mean(ratio(values, order.positives, 1.0))


class _Order:
    """The labels of each image from the likeliest down, ``(N, L)``; what is unknown comes last and is neither."""

    def __init__(self, evaluation: Evaluation) -> None:
        scores = evaluation.probabilities.masked_fill(~evaluation.known, -1.0)
        ordered, order = scores.sort(dim=1, descending=True)
        self.hits = evaluation.positives.gather(1, order)
        self.misses = evaluation.negatives.gather(1, order)
        self.right = self.hits.cumsum(1).double()
        self.positives, self.negatives = self.hits.sum(1).double(), self.misses.sum(1).double()
        self.start, self.end = tie_bounds(ordered)


def _of_classes(evaluation: Evaluation, score: Callable[[Sums], Tensor]) -> Tensor:
    """Return the ``(B, L)`` scores of the classes."""
    return torch.stack([score(sums) for sums in evaluation.class_sums], 1)


def _area_under_steps(sums: Sums) -> Tensor:
    return (sums.hits * sums.precision()).sum(1) / sums.positives


def _eleven_points(sums: Sums) -> Tensor:
    if not sums.hits.shape[1]:
        return torch.full_like(sums.positives, torch.nan)
    best = sums.precision().flip(1).cummax(1).values.flip(1)  # at this recall or a higher one
    points = torch.arange(11, dtype=torch.float64) / 10  # 0.3 is rounded as 3 / 10 and 6 / 20 are
    reached = torch.searchsorted(sums.recall().contiguous(), points.repeat(len(best), 1)).clamp(max=best.shape[1] - 1)
    return torch.where(sums.positives > 0, best.gather(1, reached).mean(1), torch.nan)


def _area_under_roc(sums: Sums) -> Tensor:
    """Count for each positive the negatives ranked above it, and half of those ranked equally."""
    wrong = sums.given - sums.right
    worse = (sums.hits * (sums.wrong_above + wrong) / 2).sum(1)
    return 1 - worse / (sums.positives * sums.negatives)
