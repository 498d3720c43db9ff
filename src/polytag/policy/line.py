"""Labels in the order of their probabilities: what a threshold gives is a place in the order."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from polytag.policy import Probabilities, Targets
from polytag.policy.f_measure import Counts, Floats, FMeasure

NEVER = float("inf")
Integers = npt.NDArray[np.int64]


class Line:
    """Those of some labels that are known, sorted; their places in the table are forgotten.

    A cut is a probability: this label and all that are at least as likely are given, the others are not. Only cuts at
    a label that is there are worth a look: going on to one that is not there only adds a wrong label.

    Args:
        probabilities: Of any shape.
        targets: int8, of the same shape, -1 where unknown.
    """

    def __init__(self, probabilities: Probabilities, targets: Targets) -> None:
        self.known = np.sort(probabilities[targets >= 0])
        self.positives = np.sort(probabilities[targets == 1])

    def right(self, cuts: Probabilities) -> Floats:
        """Return how many labels each of the ``(K,)`` cuts gives rightly."""
        return (len(self.positives) - np.searchsorted(self.positives, cuts)).astype(np.float64)

    def given(self, cuts: Probabilities) -> Floats:
        """Return how many labels each of the ``(K,)`` cuts gives."""
        return (len(self.known) - np.searchsorted(self.known, cuts)).astype(np.float64)

    def best(self, measure: FMeasure, base: Counts) -> float:
        """Return the threshold with the highest F-beta of these labels together with others; O(n log n) with sorting.

        Args:
            measure: F-beta; one number, so its average does not matter.
            base: ``(1,)`` counts without a label of this line given.
        """
        cuts = self.positives[::-1]
        scores = measure.of_counts(base.right + self.right(cuts), base.given + self.given(cuts), base.positives)
        place = int(np.argmax(np.append(measure.of_counts(*base), scores)))
        return between([self], cuts[place - 1]) if place else NEVER


def between(lines: Sequence[Line], cut: float | np.floating) -> float:
    """Return the threshold of a cut: halfway to the next lower probability on any of the lines, or to 0."""
    places = [(line.known, int(np.searchsorted(line.known, cut))) for line in lines]
    lower = max((float(known[place - 1]) for known, place in places if place), default=0.0)
    return midway(lower, float(cut))


def midway(lower: float, upper: float) -> float:
    """Return a threshold above one probability and not above the other."""
    middle = (lower + upper) / 2
    return middle if middle > lower else upper  # neighbours of 64 bits have nothing between them
