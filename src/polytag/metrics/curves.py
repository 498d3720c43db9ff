"""Precision and recall as functions of the threshold, of each class and of all decisions together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polytag.policy.line import Line

Floats = npt.NDArray[np.float64]
ALL = "all labels together"
MAX_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """What K thresholds give of one class.

    Attributes:
        name: Of the class.
        chance: Share of the images of which it is known that have it.
        thresholds: ``(K,)``, falling.
        precision: ``(K,)`` share of the given labels that are right; NaN where none is given.
        recall: ``(K,)`` share of the true labels that are given.
    """

    name: str
    chance: float
    thresholds: Floats
    precision: Floats
    recall: Floats

    def f_beta(self, beta: float) -> Floats:
        """Return F-beta at each threshold; NaN where no label is given."""
        weighted = beta**2 * self.precision + self.recall
        return np.divide(
            (1 + beta**2) * self.precision * self.recall, weighted, out=0 * weighted, where=~(weighted == 0)
        )


def curves(
    probabilities: npt.NDArray[np.floating],
    targets: npt.NDArray[np.int8],
    classes: Sequence[str],
    thresholds: Floats | None = None,
) -> list[Curve]:
    """Return the curve of all labels together, then one of each class that an image has.

    Args:
        probabilities: ``(N, L)``.
        targets: ``(N, L)``, -1 where unknown.
        classes: The L names.
        thresholds: The same for all. Not given: the probabilities of each class's positives, where precision and recall
            have their corners; of very many some.
    """
    columns = [(name, probabilities[:, i], targets[:, i]) for i, name in enumerate(classes)]
    lines = [(name, Line(column, truth)) for name, column, truth in [(ALL, probabilities, targets), *columns]]
    return [_curve(name, line, thresholds) for name, line in lines if len(line.positives)]


def _curve(name: str, line: Line, thresholds: Floats | None) -> Curve:
    if thresholds is None:
        corners = np.unique(line.positives)
        places = np.linspace(0, len(corners) - 1, min(len(corners), MAX_POINTS)).round().astype(int)
        thresholds = corners[places].astype(np.float64)
    falling = np.sort(thresholds)[::-1]
    right, given = line.right(falling), line.given(falling)
    precision = np.divide(right, given, out=np.full(len(falling), np.nan), where=given > 0)
    return Curve(name, len(line.positives) / len(line.known), falling, precision, right / len(line.positives))
