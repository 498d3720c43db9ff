"""Policies: how probabilities become labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy.typing as npt

if TYPE_CHECKING:
    import torch

# Every policy works on both kinds, so that neither prediction at scale nor training has to convert.
Array = TypeVar("Array", npt.NDArray[Any], "torch.Tensor")


class Policy(Protocol):
    """What the rest of the program asks of a policy."""

    def decide(self, probabilities: Array) -> Array:
        """Return the ``(N, L)`` boolean labels of ``(N, L)`` probabilities, as the kind of array that was given."""
        ...

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds: at least `kind` and the `thresholds` of the classes by name."""
        ...
