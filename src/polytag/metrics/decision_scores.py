"""Scores of decisions: of the labels that a policy gives. docs/evaluation.md has their definitions with sources."""

from collections.abc import Callable

import torch
from torch import Tensor

from polytag.errors import UserError
from polytag.metrics.counts import Counts, counts_of_all, counts_of_classes, counts_of_images
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import check_average, less_is_better, macro, ratio

AVERAGES = ("images", "macro", "micro")


def f_beta(evaluation: Evaluation, beta: float = 2.0, average: str = "images", zero_division: float = 0.0) -> Tensor:
    """F-beta; with beta 2 over images the rule of Kaggle's Planet competition.

    Args:
        evaluation: What to score.
        beta: How many times recall weighs more than precision.
        average: `images`: of each image's labels, mean over images | `macro`: of each class's decisions, mean over the
            classes that have a positive | `micro`: of all decisions together.
        zero_division: The score of an image that has no label and gets none. 0 is what scikit-learn and torchmetrics
            say, and Planet has no such image; where many images have no label, 1 is fairer. With 0, an image that has
            no known label beside unknown ones is left out: it may have labels, and could score nothing but 0.

    Raises:
        UserError: An unknown average, a beta of 0 or less, or a zero_division that is neither 0 nor 1.
    """
    if not beta > 0:
        raise UserError(f"beta={beta} of an F-beta score has to be above 0, such as 2.")

    def score(counts: Counts) -> Tensor:
        weighted = (1 + beta**2) * counts.tp
        return ratio(weighted, weighted + beta**2 * counts.fn + counts.fp, zero_division)

    return _averaged("an F-beta score", score, evaluation, average, zero_division)


def precision(evaluation: Evaluation, average: str = "macro", zero_division: float = 0.0) -> Tensor:
    """Share of the given labels that are right; averages as in `f_beta`. A class that is never given counts 0."""

    def score(counts: Counts) -> Tensor:
        return ratio(counts.tp, counts.tp + counts.fp, zero_division)

    return _averaged("precision", score, evaluation, average, zero_division)


def recall(evaluation: Evaluation, average: str = "macro", zero_division: float = 0.0) -> Tensor:
    """Share of the true labels that are given; averages as in `f_beta`."""

    def score(counts: Counts) -> Tensor:
        return ratio(counts.tp, counts.tp + counts.fn, zero_division)

    return _averaged("recall", score, evaluation, average, zero_division)


def jaccard(evaluation: Evaluation, average: str = "images", zero_division: float = 0.0) -> Tensor:
    """Labels both given and true over labels given or true (intersection over union); averages as in `f_beta`."""

    def score(counts: Counts) -> Tensor:
        return ratio(counts.tp, counts.tp + counts.fp + counts.fn, zero_division)

    return _averaged("jaccard", score, evaluation, average, zero_division)


def class_f1(evaluation: Evaluation) -> Tensor:
    """CF1 of the COCO and VOC papers: harmonic mean of macro precision and macro recall; not the mean of F1s."""
    cp, cr = precision(evaluation, "macro"), recall(evaluation, "macro")
    return torch.where(cp.isnan(), torch.nan, ratio(2 * cp * cr, cp + cr, 0.0))


def overall_f1(evaluation: Evaluation) -> Tensor:
    """OF1 of the COCO and VOC papers: harmonic mean of micro precision and recall, which is micro F1."""
    return f_beta(evaluation, 1.0, "micro")


def accuracy(evaluation: Evaluation, threshold: float | None = None) -> Tensor:
    """Share of right yes-or-no answers, at a threshold or under the policy. High where nothing is predicted."""
    given = evaluation.decisions if threshold is None else evaluation.probabilities >= threshold
    right = ((given == evaluation.positives) & evaluation.known).sum(1)
    return _share(evaluation, right, evaluation.known.sum(1))


@less_is_better
def hamming_loss(evaluation: Evaluation) -> Tensor:
    """Share of wrong yes-or-no answers under the policy: 1 minus their accuracy."""
    return 1 - accuracy(evaluation)


def exact_match(evaluation: Evaluation) -> Tensor:
    """Share of images whose labels are all right, as far as they are known: none missing and none too many."""
    right = (evaluation.decisions == evaluation.positives) | ~evaluation.known
    return evaluation.mean(right.all(1))


def _averaged(
    name: str, score: Callable[[Counts], Tensor], evaluation: Evaluation, average: str, zero_division: float
) -> Tensor:
    """Return a score of counts, averaged."""
    check_average(name, average, AVERAGES)
    if zero_division not in (0, 1):
        raise UserError(f"zero_division={zero_division} of {name} has to be 0 or 1.")
    if average == "images":
        counted = evaluation.known.all(1) | evaluation.positives.any(1)
        return evaluation.mean(score(counts_of_images(evaluation)), None if zero_division else counted)
    if average == "micro":
        counts = counts_of_all(evaluation)
        return torch.where(counts.known > 0, score(counts), torch.nan)
    counts = counts_of_classes(evaluation)
    return macro(torch.where(counts.tp + counts.fn > 0, score(counts), torch.nan))


def _share(evaluation: Evaluation, part: Tensor, whole: Tensor) -> Tensor:
    parts, wholes = evaluation.total(torch.stack([part, whole], 1)).unbind(1)
    return ratio(parts, wholes, torch.nan)
