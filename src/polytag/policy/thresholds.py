"""One threshold a class, however they were found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polytag.policy import Array, as_given


@dataclass(frozen=True)
class Thresholds:
    """A label is given from its class's threshold on.

    Attributes:
        kind: How they were found: the name of the policy's config.
        values: The L thresholds; infinity for a class that is never given.
    """

    kind: str
    values: tuple[float, ...]

    def decide(self, probabilities: Array) -> Array:
        """Return the ``(N, L)`` boolean labels: those with at least their threshold's probability.

        Compared in 64 bits: a threshold between two neighbouring probabilities of 32 bits would be rounded to one.
        """
        return as_given(np.asarray(probabilities) >= np.array(self.values, np.float64), probabilities)

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds."""
        values = (None if math.isinf(value) else float(value) for value in self.values)
        return {"kind": self.kind, "thresholds": dict(zip(classes, values, strict=True))}
