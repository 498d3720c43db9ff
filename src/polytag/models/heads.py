"""From what the backbone sees to one logit a class. A new head is one class here and one line in `HEADS`."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from polytag.errors import UserError, did_you_mean
from polytag.models.csra import CSRAHead
from polytag.models.ml_decoder import MLDecoderHead

Takes = Literal["pooled", "map"]


@runtime_checkable
class AttentionHead(Protocol):
    """A head that looks for each class at places of its own, and can say where."""

    def attention(self, features: Tensor) -> Tensor:
        """Return ``(B, L, H, W)`` maps of a ``(B, C, H, W)`` one: not negative, of sum 1 over the places."""
        ...


class LinearHead(nn.Module):
    """Dropout and one linear layer, on what timm's own classifier gets: the usual choice."""

    takes: ClassVar[Takes] = "pooled"

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(B, C)`` pooled features to ``(B, L)`` logits."""
        logits: Tensor = self.fc(self.dropout(features))
        return logits


class DenseHead(LinearHead):
    """The linear head, started as Keras's `Dense`: Glorot-uniform weights, no bias at first.

    https://keras.io/api/layers/core_layers/dense/. Weights lie within the square root of 6 / (width + classes).
    """

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(width, num_classes, dropout)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)


class FastaiHead(nn.Module):
    """The head of the fast.ai lessons: average and maximum of the map, and one hidden layer of 512.

    Layers and initialisation are those of fastai 0.7's ConvnetBuilder. The dropout before the hidden layer is half
    the one behind it. Its batch normalisation needs at least two images in a training batch.
    """

    takes: ClassVar[Takes] = "map"

    def __init__(self, width: int, num_classes: int, dropout: float = 0.5, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(2 * width),
            nn.Dropout(dropout / 2),
            nn.Linear(2 * width, hidden),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map a ``(B, C, H, W)`` feature map to ``(B, L)`` logits."""
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        logits: Tensor = self.layers(pooled)
        return logits


Head = LinearHead | FastaiHead | CSRAHead | MLDecoderHead
HEADS: dict[str, type[Head]] = {
    "linear": LinearHead,
    "dense": DenseHead,
    "fastai": FastaiHead,
    "csra": CSRAHead,
    "ml_decoder": MLDecoderHead,
}


def find_head(name: str, options: Mapping[str, Any]) -> type[Head]:
    """Return the class of a head's name.

    Raises:
        UserError: There is no such head, or it does not take one of the options.
    """
    if name not in HEADS:
        raise UserError(f"model.head={name!r} is not one of {', '.join(HEADS)}.{did_you_mean(name, HEADS)}")
    known = [key for key in inspect.signature(HEADS[name]).parameters if key not in ("width", "num_classes", "dropout")]
    for key in options:
        if key == "dropout":
            raise UserError(
                "The dropout of a head is no option of its own: model.head_dropout instead of head_options."
            )
        if key not in known:
            there = ", ".join(known) or "none"
            near = did_you_mean(str(key), known)
            raise UserError(f"model.head_options.{key} is no option of model.head={name}.{near} Known: {there}.")
    return HEADS[name]
