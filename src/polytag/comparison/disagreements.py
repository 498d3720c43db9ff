"""Images that one run gets right and another one wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Disagreement:
    """How often two runs have all labels of an image right, and which images tell them apart.

    Attributes:
        both: Images that both have right.
        neither: Images that none has right.
        first_alone: Rows of those that the first run has right and the second wrong, the most certain mistake first.
        second_alone: The other way round.
    """

    both: int
    neither: int
    first_alone: npt.NDArray[np.intp]
    second_alone: npt.NDArray[np.intp]


def disagreement(
    targets: Labels, probabilities: Sequence[Floats], decisions: Sequence[npt.NDArray[np.bool_]]
) -> Disagreement:
    """Compare the labels of two runs.

    Args:
        targets: ``(N, L)`` true labels; what is unknown counts neither as right nor as wrong.
        probabilities: ``(N, L)`` of each run.
        decisions: ``(N, L)`` of each run: the labels that it gives.
    """
    wrong = [mistakes(targets, one) for one in decisions]
    right = [~one.any(1) for one in wrong]
    certain = [certainty(targets, one, p) for one, p in zip(wrong, probabilities, strict=True)]
    first, second = (np.flatnonzero(right[here] & ~right[1 - here]) for here in (0, 1))
    return Disagreement(
        int((right[0] & right[1]).sum()),
        int((~right[0] & ~right[1]).sum()),
        first[np.argsort(-certain[1][first], kind="stable")],
        second[np.argsort(-certain[0][second], kind="stable")],
    )


def mistakes(targets: Labels, decisions: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the ``(N, L)`` labels that are wrongly given or missed."""
    return np.asarray(((targets == 1) & ~decisions) | ((targets == 0) & decisions))


def certainty(targets: Labels, wrong: npt.NDArray[np.bool_], probabilities: Floats) -> Floats:
    """Return how certain each image's worst mistake was: the probability of a wrong label, or of no label."""
    believed = np.where(targets == 1, 1 - probabilities, probabilities)
    return np.asarray(np.where(wrong, believed, 0).max(1), np.float32)
