"""What a score is, and all of them at once. The scores themselves are in the files beside this one.

Macro averages leave out a class without a positive: it has no average precision, no recall and no F-score.
`undefined_classes` names such classes. What is unknown (-1) of an image is left out everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from polytag.errors import UserError
from polytag.metrics.evaluation import Evaluation

# A score of an evaluation: one number for each of its B weightings of the images, NaN where it has no meaning.
# One that knows nothing of weights gives a single number; see `polytag.metrics.bootstrap`.
Score = Callable[[Evaluation], Tensor]
AnyScore = TypeVar("AnyScore", bound=Callable[..., Tensor])


def less_is_better(score: AnyScore) -> AnyScore:
    """Mark a score that is better the lower it is, for whoever compares two runs."""
    score.less_is_better = True  # type: ignore[attr-defined]  # functions take any attribute
    return score


def is_less_better(score: Score) -> bool:
    """Whether a score, or the function that its settings were given to, is marked as better the lower it is."""
    return bool(getattr(getattr(score, "func", score), "less_is_better", False))


def score_all(metrics: Mapping[str, Score], evaluation: Evaluation) -> dict[str, float]:
    """Return every score of an evaluation without weights by its name."""
    assert evaluation.weights is None
    return {name: float(score(evaluation)) for name, score in metrics.items()}


def undefined_classes(targets: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes without a positive target, which the macro averages leave out."""
    present = (targets == 1).any(0).tolist()
    return tuple(name for name, is_present in zip(classes, present, strict=True) if not is_present)


def macro(values: Tensor) -> Tensor:
    """Return the ``(B,)`` means of ``(B, L)`` values over the classes that have one, not NaN; NaN where none has."""
    return values.nanmean(1)


def ratio(numerator: Tensor, denominator: Tensor, otherwise: float) -> Tensor:
    """Return a quotient, and the other value where it would be 0 / 0."""
    return torch.where(denominator > 0, numerator / denominator.clamp(min=1e-300), otherwise)


def check_average(name: str, average: str, known: Sequence[str]) -> None:
    """Refuse an average that a score has not got.

    Raises:
        UserError: It.
    """
    if average not in known:
        raise UserError(f"average={average} of {name} is none of {', '.join(known)}.")
