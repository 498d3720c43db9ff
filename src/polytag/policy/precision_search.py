"""Thresholds at a required precision: for labels that somebody acts on."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polytag.errors import UserError
from polytag.policy import Labels, Probabilities, Targets
from polytag.policy.f_measure import Floats
from polytag.policy.line import NEVER, Integers
from polytag.policy.line_search import precision_thresholds
from polytag.policy.options import check_folds, check_support, is_number
from polytag.policy.search import Search


@dataclass(frozen=True)
class AtPrecision(Search):
    """The lowest threshold of each class at which a share of its labels is right.

    That is the one that finds most. It lies just below a label that is right: lower ones only add what is wrong.

    Args:
        precision: That share.
        min_support: Classes with fewer positives are never given: nobody knows their precision.
        folds: In how many parts the images are cut for the honest score.
        seed: Of the cut.

    Raises:
        UserError: A value outside its range.
    """

    kind: ClassVar[str] = "at_precision"

    precision: float = 0.9
    min_support: int = 5
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_folds(self.folds, self.seed)
        check_support(self.min_support)
        if not (is_number(self.precision) and 0 < self.precision <= 1):
            raise UserError(f"policy.precision={self.precision} has to be above 0 and at most 1, such as 0.9.")

    def thresholds(self, probabilities: Probabilities, targets: Targets, columns: Integers, given: Labels) -> Floats:
        """Return ``(L,)`` thresholds; infinity for the classes that are not among the columns."""
        values = np.full(targets.shape[1], NEVER)
        enough = columns[(targets[:, columns] == 1).sum(0) >= self.min_support]
        values[enough] = precision_thresholds(probabilities[:, enough], targets[:, enough], self.precision)
        return values

    def score(self, labels: Labels, targets: Targets) -> float:
        """Return the mean precision of the classes that are given at all; NaN where none is."""
        given, right = (labels & (targets >= 0)).sum(0), (labels & (targets == 1)).sum(0)
        return float((right[given > 0] / given[given > 0]).mean()) if given.any() else float("nan")

    def verdict(self, honest: float, at_half: float) -> str:
        """Return whether the required precision holds on images that the thresholds were not found on."""
        if honest < self.precision:
            return f"On images that they were not found on, these thresholds miss the required precision: {honest:.3f}."
        return ""

    def describe_score(self) -> str:
        """Return the name of that score."""
        return f"precision (macro, {self.precision:g} required)"
