"""The scores. Each is a function of an `Evaluation`, NaN where it has no meaning. Settings follow as keyword arguments.

A class without a positive target has no average precision and no F1, so the macro averages leave it out;
`undefined_classes` names such classes.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_f1_score, binary_fbeta_score

from polytag.errors import UserError
from polytag.metrics.evaluation import Evaluation

Score = Callable[[Evaluation], Tensor]


def _undefined() -> Tensor:
    return torch.tensor(float("nan"))


def _has_positive(targets: Tensor) -> Tensor:
    return targets.bool().any(0)


def macro_average_precision(evaluation: Evaluation) -> Tensor:
    """Area under the precision-recall steps of each class, averaged over the classes that have a positive."""
    columns = _has_positive(evaluation.targets)
    if not columns.any():
        return _undefined()
    return _average_precision(evaluation.probabilities[:, columns], evaluation.targets[:, columns]).mean().float()


def _average_precision(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return ``(L,)`` average precision of columns that each have a positive, as scikit-learn defines it.

    All columns at once: torchmetrics' loop over the classes takes ten times as long, and this runs every epoch.
    """
    ranked, order = probabilities.sort(dim=0, descending=True)
    hits = targets.long().gather(0, order)
    ranks = torch.arange(1, len(ranked) + 1, device=ranked.device).unsqueeze(1)
    precision = hits.cumsum(0) / ranks.double()
    # Equal probabilities share one threshold, so each counts with the precision at the last of them.
    is_last = torch.ones_like(hits, dtype=torch.bool)
    is_last[:-1] = ranked[:-1] != ranked[1:]
    last = torch.where(is_last, ranks - 1, len(ranked)).flip(0).cummin(0).values.flip(0)
    return (precision.gather(0, last) * hits).sum(0) / hits.sum(0)


def f_beta(evaluation: Evaluation, beta: float = 2.0, zero_division: float = 0.0) -> Tensor:
    """F-beta of each image's labels, averaged over images; with beta 2 the rule of Kaggle's Planet competition.

    Args:
        evaluation: What to score.
        beta: How many times recall weighs more than precision.
        zero_division: The score of an image that has no label and gets none. 0 is what scikit-learn and torchmetrics
            say, and Planet has no such image; where many images have no label, 1 is fairer.

    Raises:
        UserError: A beta of 0 or less, or a zero_division that is neither 0 nor 1.
    """
    if not beta > 0:
        raise UserError(f"beta={beta} of an F-beta score has to be above 0, such as 2.")
    if zero_division not in (0, 1):
        raise UserError(f"zero_division={zero_division} of an F-beta score has to be 0 or 1.")
    if not len(evaluation.targets):
        return _undefined()
    per_image = binary_fbeta_score(
        evaluation.decisions.int(),
        evaluation.targets.int(),
        beta=float(beta),
        multidim_average="samplewise",
        validate_args=False,
        zero_division=zero_division,
    )
    return per_image.mean()


def f1_micro(evaluation: Evaluation) -> Tensor:
    """F1 of all decisions taken together; 0 where there is neither a label nor a decision for one."""
    if not len(evaluation.targets):
        return _undefined()
    return binary_f1_score(evaluation.decisions.int(), evaluation.targets.int(), validate_args=False)


def f1_macro(evaluation: Evaluation) -> Tensor:
    """F1 of each class's decisions, averaged over the classes that have a positive."""
    columns = _has_positive(evaluation.targets)
    if not columns.any():
        return _undefined()
    decisions, targets = evaluation.decisions[:, columns].T.int(), evaluation.targets[:, columns].T.int()
    return binary_f1_score(decisions, targets, multidim_average="samplewise", validate_args=False).mean()


def accuracy(evaluation: Evaluation) -> Tensor:
    """Share of right yes-or-no answers at 0.5, whatever the policy. High for a network that predicts nothing."""
    return _accuracy(evaluation.probabilities >= 0.5, evaluation.targets)


def accuracy_policy(evaluation: Evaluation) -> Tensor:
    """Share of right yes-or-no answers under the policy."""
    return _accuracy(evaluation.decisions, evaluation.targets)


def _accuracy(decisions: Tensor, targets: Tensor) -> Tensor:
    return (decisions == targets.bool()).float().mean()


def exact_match(evaluation: Evaluation) -> Tensor:
    """Share of images whose labels are all right, none missing and none too many."""
    return (evaluation.decisions == evaluation.targets.bool()).all(1).float().mean()


def score_all(metrics: Mapping[str, Score], evaluation: Evaluation) -> dict[str, float]:
    """Return every score by its name."""
    return {name: float(score(evaluation)) for name, score in metrics.items()}


def undefined_classes(targets: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes without a positive target, which the macro averages leave out."""
    return tuple(name for name, present in zip(classes, _has_positive(targets).tolist(), strict=True) if not present)
