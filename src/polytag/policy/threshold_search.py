"""Thresholds that make F-beta on the validation predictions as large as they can: one for all classes, or one each.

How much a threshold for each class can gain: Fan and Lin, "A Study on Threshold Selection for Multi-label
Classification", 2007, https://www.csie.ntu.edu.tw/~cjlin/papers/threshold.pdf.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polytag.errors import UserError
from polytag.policy import Labels, Probabilities, Targets
from polytag.policy.coordinate_ascent import ascend
from polytag.policy.f_measure import Floats, FMeasure
from polytag.policy.line import NEVER, Integers
from polytag.policy.line_search import class_thresholds, common_threshold
from polytag.policy.options import check_folds, check_support, is_number
from polytag.policy.search import Search


@dataclass(frozen=True)
class GlobalThreshold(Search):
    """One threshold for all classes; the search is exact.

    Args:
        beta: How many times recall weighs more than precision.
        average: `macro`, `micro` or `images`, as in `polytag.metrics.decision_scores.f_beta`.
        zero_division: The score of an image that has no label and gets none, for `average=images`.
        folds: In how many parts the images are cut for the honest score.
        seed: Of the cut.

    Raises:
        UserError: A value outside its range.
    """

    kind: ClassVar[str] = "global"

    beta: float = 1.0
    average: str = "macro"
    zero_division: float = 0.0
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_folds(self.folds, self.seed)
        _ = self.measure  # refuses what makes no sense

    @property
    def measure(self) -> FMeasure:
        """What is made as large as it can."""
        return FMeasure(self.beta, self.average, self.zero_division)

    def score(self, labels: Labels, targets: Targets) -> float:
        """Return the F-beta of ``(N, L)`` labels."""
        return self.measure.score(labels, targets)

    def describe_score(self) -> str:
        """Return the name of that score."""
        return str(self.measure)

    def thresholds(self, probabilities: Probabilities, targets: Targets, columns: Integers, given: Labels) -> Floats:
        """Return ``(L,)`` times the best common threshold of the columns; one half where no positive tells it."""
        common = common_threshold(probabilities, targets, self.measure, columns, given)
        values = np.full(targets.shape[1], NEVER)
        values[columns] = 0.5 if np.isnan(common) else common
        return values


@dataclass(frozen=True)
class ClassThresholds(GlobalThreshold):
    """One threshold for each class, pulled towards the one for all by how few images the class has.

    A threshold found on few images fits these images. With n positives it becomes
    ``(n * own + shrinkage * common) / (n + shrinkage)``, where 1 stands for a threshold that is never reached. The own
    ones are exact under the macro and the micro average; under that of images no change of a single one is better.

    Args:
        shrinkage: At how many positives own and common threshold weigh the same; 0 for the class's own.
        min_support: Classes with fewer positives get the common threshold.
    """

    kind: ClassVar[str] = "per_class"

    shrinkage: float = 10.0
    min_support: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_support(self.min_support)
        if not (is_number(self.shrinkage) and self.shrinkage >= 0):
            raise UserError(f"policy.shrinkage={self.shrinkage} has to be a number from 0 on.")

    @property
    def method(self) -> str:
        """How the search goes; for micro the ascent is exact too."""
        return "exact" if self.average == "macro" else "coordinate ascent"

    def thresholds(self, probabilities: Probabilities, targets: Targets, columns: Integers, given: Labels) -> Floats:
        """Return ``(L,)`` thresholds: the columns' own, shrunk, or the common one."""
        values = super().thresholds(probabilities, targets, columns, given)
        support = (targets == 1).sum(0)
        enough = columns[support[columns] >= self.min_support]
        if self.average == "macro":
            own = class_thresholds(probabilities[:, enough], targets[:, enough], self.measure)
        else:
            own = ascend(probabilities, targets, self.measure, values, enough, given)[enough]
        if self.shrinkage:  # 1 stands for never, which cannot be averaged
            weight = support[enough] / (support[enough] + self.shrinkage)
            own = weight * np.minimum(own, 1.0) + (1 - weight) * np.minimum(values[enough], 1.0)
        values[enough] = own
        return values
