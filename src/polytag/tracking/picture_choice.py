"""Which images a report shows, beside a seeded choice of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Mistake:
    """An image and the label that is wrong there.

    Attributes:
        row: Of the image.
        label: Its column.
        is_given: Whether it was wrongly given, or else missed.
        probability: That the network gave it.
    """

    row: int
    label: int
    is_given: bool
    probability: float

    @property
    def certainty(self) -> float:
        """How sure the network was of what is wrong."""
        return self.probability if self.is_given else 1 - self.probability


def most_wrong(
    probabilities: Probabilities, targets: npt.NDArray[np.int8], decisions: npt.NDArray[np.bool_], most: int
) -> list[Mistake]:
    """Return of each class the wrongly given label of highest and the missed one of lowest probability.

    Args:
        probabilities: ``(N, L)``.
        targets: ``(N, L)``, -1 where unknown: that is no mistake.
        decisions: ``(N, L)``.
        most: How many; of more, those that the network was surest of.

    Returns:
        In the order of the classes.
    """
    added, missed = decisions & (targets == 0), ~decisions & (targets == 1)
    found = [
        *_extremes(np.where(added, probabilities, -np.inf), added, np.argmax, is_given=True),
        *_extremes(np.where(missed, probabilities, np.inf), missed, np.argmin, is_given=False),
    ]
    surest = sorted(found, key=lambda mistake: -mistake.certainty)[:most]
    return sorted(surest, key=lambda mistake: (mistake.label, not mistake.is_given))


def _extremes(
    values: Probabilities, wrong: npt.NDArray[np.bool_], choose: Callable[..., Any], is_given: bool
) -> list[Mistake]:
    labels = np.flatnonzero(wrong.any(0))
    rows = choose(values[:, labels], axis=0) if len(labels) else ()
    pairs = zip(rows, labels, strict=True)
    return [Mistake(int(row), int(label), is_given, float(values[row, label])) for row, label in pairs]


def most_uncertain(probabilities: Probabilities, most: int) -> Rows:
    """Return the rows with the highest mean entropy of their labels' probabilities, the highest first."""
    inside = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    entropy = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside)).mean(1)
    return np.argsort(-entropy, kind="stable")[:most]


def without_label(decisions: npt.NDArray[np.bool_], targets: npt.NDArray[np.int8]) -> Rows:
    """Return the rows that were given no label, those first that should have the most."""
    rows = np.flatnonzero(~decisions.any(1))
    return rows[np.argsort(-(targets[rows] == 1).sum(1), kind="stable")]


def sample_rows(rows: int, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Return the indexes of a seeded choice of rows, in their order."""
    return np.sort(np.random.default_rng(seed).choice(rows, min(count, rows), replace=False))


def highest_losses(
    probabilities: npt.NDArray[np.floating[Any]], targets: npt.NDArray[Any], count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the indexes of the images with the highest loss, the highest first, and the losses of all images.

    The loss of an image is the mean binary cross-entropy of its known labels, whatever loss was trained with; of an
    image of which nothing is known it is 0.

    Args:
        probabilities: ``(N, L)``.
        targets: ``(N, L)``, -1 where unknown.
        count: How many indexes.
    """
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    known = targets >= 0
    surprise = -np.log(np.where(targets == 1, clipped, 1 - clipped))
    losses = np.where(known, surprise, 0).sum(1) / np.maximum(known.sum(1), 1)
    return np.argsort(-losses, kind="stable")[:count], losses
