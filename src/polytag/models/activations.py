"""How logits become probabilities: what the loss says that they mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polytag.errors import UserError

KINDS = ("sigmoid", "softmax", "none")


@dataclass(frozen=True)
class Activation:
    """From logits to probabilities.

    Attributes:
        kind: `sigmoid`: each label for itself | `softmax`: the labels share a probability of 1 | `none`: the logits as
            they are, cut off at 0 and 1.
        groups: Columns that share a probability of 1 among themselves, whatever the kind of the others.
    """

    kind: str = "sigmoid"
    groups: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"The activation {self.kind!r} is none of {', '.join(KINDS)}.")

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the ``(B, L)`` probabilities of ``(B, L)`` logits, in 32 bits."""
        logits = logits.float()
        if self.kind == "softmax":
            probabilities = logits.softmax(1)
        else:
            probabilities = logits.sigmoid() if self.kind == "sigmoid" else logits.clamp(0, 1)
        for group in self.groups:
            columns = torch.tensor(group, device=logits.device)
            probabilities = probabilities.index_copy(1, columns, logits[:, columns].softmax(1))
        return probabilities

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"kind": self.kind, "groups": [list(group) for group in self.groups]}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Activation":
        """Return what a checkpoint's values mean."""
        return cls(stored["kind"], tuple(tuple(group) for group in stored["groups"]))


SIGMOID = Activation()


def activation_of(criterion: Callable[..., Any]) -> Activation:
    """Return what a loss says that its logits mean; a sigmoid where it says nothing."""
    activation = getattr(criterion, "activation", None)
    return activation if isinstance(activation, Activation) else SIGMOID
