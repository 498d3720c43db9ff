"""The plainest policy: one threshold that nobody searched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polytag.errors import UserError
from polytag.policy import Array
from polytag.policy.options import is_number


@dataclass(frozen=True)
class FixedPolicy:
    """A label is given from one probability on, the same for all classes.

    Raises:
        UserError: The threshold is no probability.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not (is_number(self.threshold) and 0 <= self.threshold <= 1):
            raise UserError(
                f"policy.threshold={self.threshold} is no probability. Choose one from 0 to 1, such as 0.5."
            )

    def decide(self, probabilities: Array) -> Array:
        """Return the ``(N, L)`` boolean labels: those with at least the threshold's probability."""
        labels: Array = probabilities >= self.threshold
        return labels

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds."""
        return {
            "kind": "fixed",
            "threshold": float(self.threshold),
            "thresholds": {name: float(self.threshold) for name in classes},
        }
