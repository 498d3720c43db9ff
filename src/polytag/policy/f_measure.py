"""The F-beta that a search makes as large as it can, of counts."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polytag.errors import UserError
from polytag.policy import Labels, Targets
from polytag.policy.options import is_number

AVERAGES = ("macro", "micro", "images")
SMALLEST = np.finfo(np.float64).tiny  # above 0, so that nothing is divided by 0
Floats = npt.NDArray[np.float64]


class Counts(NamedTuple):
    """How many labels are rightly given, given at all, and there: of each class, of each image, or of all as one."""

    right: Floats
    given: Floats
    positives: Floats


@dataclass(frozen=True)
class FMeasure:
    """F-beta and how it is averaged, as in `polytag.metrics.decision_scores.f_beta`.

    Attributes:
        beta: How many times recall weighs more than precision.
        average: `macro`: mean over classes with a positive | `micro`: of all decisions | `images`: mean over images.
        zero_division: The score of an image that has no label and gets none.

    Raises:
        UserError: A value outside its range.
    """

    beta: float = 1.0
    average: str = "macro"
    zero_division: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.beta) and self.beta > 0):
            raise UserError(f"policy.beta={self.beta} has to be a number above 0: 1, or 2 where recall counts more.")
        if self.average not in AVERAGES:
            raise UserError(f"policy.average={self.average} is none of {', '.join(AVERAGES)}.")
        if self.zero_division not in (0, 1):
            raise UserError(f"policy.zero_division={self.zero_division} has to be 0 or 1.")

    def __str__(self) -> str:
        return f"F{self.beta:g} ({self.average})"

    def counts(self, labels: Labels, targets: Targets) -> Counts:
        """Return the ``(U,)`` counts of ``(N, L)`` labels; U is L, 1 or N, by the average."""
        axis = {"macro": 0, "micro": None, "images": 1}[self.average]
        cells = (labels & (targets == 1), labels & (targets >= 0), targets == 1)
        return Counts(*(np.atleast_1d(cell.sum(axis)).astype(np.float64) for cell in cells))

    def of_counts(self, right: Floats, given: Floats, positives: Floats) -> Floats:
        """Return F-beta of how many labels are rightly given, given at all, and there."""
        weighted, whole = (1 + self.beta**2) * right, self.beta**2 * positives + given
        return np.where(whole > 0, weighted / np.maximum(whole, SMALLEST), self.zero_division)

    def score(self, labels: Labels, targets: Targets) -> float:
        """Return the score of ``(N, L)`` labels."""
        import torch

        from polytag.metrics.decision_scores import f_beta
        from polytag.metrics.evaluation import Evaluation

        decisions = torch.from_numpy(labels)
        evaluation = Evaluation(decisions.float(), torch.from_numpy(targets), decisions)
        return float(f_beta(evaluation, self.beta, self.average, self.zero_division))
