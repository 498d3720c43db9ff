"""Policies: how probabilities become labels, and searches that find one on validation predictions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

# Every policy works on both kinds, so that neither prediction at scale nor training has to convert.
Array = TypeVar("Array", npt.NDArray[Any], "torch.Tensor")

Probabilities = npt.NDArray[np.floating[Any]]
Targets = npt.NDArray[np.int8]
Labels = npt.NDArray[np.bool_]


class Policy(Protocol):
    """What the rest of the program asks of a policy."""

    def decide(self, probabilities: Array) -> Array:
        """Return the ``(N, L)`` boolean labels of ``(N, L)`` probabilities, as the kind of array that was given."""
        ...

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds: at least `kind` and the `thresholds` of the classes by name.

        A class that no threshold decides is left out; one that is never given has None.
        """
        ...


def as_given(labels: Labels, like: Array) -> Array:
    """Return labels as the kind of array that the probabilities were given as."""
    if isinstance(like, np.ndarray):
        return labels
    import torch

    return torch.from_numpy(labels)
