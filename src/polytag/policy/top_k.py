"""The likeliest labels of each image, however likely they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polytag.errors import UserError
from polytag.policy import Array, as_given
from polytag.policy.options import is_number, is_whole


@dataclass(frozen=True)
class TopK:
    """The k likeliest labels of each image are given, as in the papers' top-3 scores on COCO.

    Args:
        k: How many; of fewer classes all.
        at_least: The probability that each of them must have.

    Raises:
        UserError: k is below 1, or `at_least` is no probability.
    """

    k: int = 3
    at_least: float = 0.0

    def __post_init__(self) -> None:
        if not (is_whole(self.k) and self.k >= 1):
            raise UserError(f"policy.k={self.k} has to be a whole number from 1 on: how many labels?")
        if not (is_number(self.at_least) and 0 <= self.at_least <= 1):
            raise UserError(f"policy.at_least={self.at_least} is no probability. Choose one from 0 to 1, such as 0.1.")

    def decide(self, probabilities: Array) -> Array:
        """Return the ``(N, L)`` boolean labels; of equal probabilities the first class's goes first."""
        values = np.asarray(probabilities)
        labels = np.zeros(values.shape, bool)
        np.put_along_axis(labels, np.argsort(-values, axis=1, kind="stable")[:, : self.k], True, axis=1)
        return as_given(labels & (values >= self.at_least), probabilities)

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds."""
        return {"kind": "top_k", "k": self.k, "at_least": float(self.at_least), "thresholds": {}}
