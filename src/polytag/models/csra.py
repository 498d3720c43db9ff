"""The head `csra`: residual attention, which adds to the mean of a class's scores where they are high."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polytag.errors import UserError


class CSRAHead(nn.Module):
    """Class-specific residual attention: the mean of a class's scores over the places, and more of where they are high.

    Zhu and Wu, "Residual Attention", ICCV 2021, https://arxiv.org/abs/2108.02456. Each attention head has linear scores
    s of its own at every place, without a bias, and gives mean(s) + lam * sum(softmax(T * s) * s), sums over places;
    the logit is the sum over the heads. Defaults and temperatures are those of the authors' code, which divides the
    weights of each class by their length.

    Args:
        width: Channels of the map.
        num_classes: Number of logits.
        dropout: Share of the channels that are dropped before the scores.
        num_heads: How many attention heads: 1, 2, 4, 6 or 8, with the temperatures in `TEMPERATURES`.
        lam: How much the attention adds to the mean.
        temperatures: T of each attention head, instead of `num_heads`; `max` is infinity: the maximum alone counts.
        normalise: Whether the weights of each class have length 1.

    Raises:
        UserError: An option makes no sense.
    """

    takes: ClassVar[Literal["map"]] = "map"
    TEMPERATURES: ClassVar[dict[int, tuple[float, ...]]] = {
        1: (1,),
        2: (1, math.inf),
        4: (1, 2, 4, math.inf),
        6: (1, 2, 3, 4, 5, math.inf),
        8: (1, 2, 3, 4, 5, 6, 7, math.inf),
    }

    def __init__(
        self,
        width: int,
        num_classes: int,
        dropout: float = 0.0,
        num_heads: int = 1,
        lam: float = 0.1,
        temperatures: Sequence[float | str] | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if temperatures is None and num_heads not in self.TEMPERATURES:
            known = ", ".join(map(str, self.TEMPERATURES))
            raise UserError(
                f"model.head_options.num_heads={num_heads} is none of {known}. For another number give temperatures, "
                "one a head."
            )
        if not isinstance(lam, int | float) or not 0 <= lam < math.inf:
            raise UserError(f"model.head_options.lam={lam} is no number from 0 on.")
        self.lam, self.normalise = float(lam), normalise
        self.temperatures = self.TEMPERATURES[num_heads] if temperatures is None else _temperatures(temperatures)
        self.dropout = nn.Dropout2d(dropout)
        self.scores = nn.Conv2d(width, len(self.temperatures) * num_classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map a ``(B, C, H, W)`` feature map to ``(B, L)`` logits."""
        scores = self._scores(self.dropout(features))
        attended = (scores * self._weights(scores)).sum(-1)
        return (scores.mean(-1) + self.lam * attended).sum(1)

    def attention(self, features: Tensor) -> Tensor:
        """Return ``(B, L, H, W)``, the mean of the attention heads' weights: with `max`, a peak of one place."""
        weights = self._weights(self._scores(features).float()).mean(1)
        return weights.view(*weights.shape[:2], *features.shape[2:])

    def _scores(self, features: Tensor) -> Tensor:
        """Return the scores ``(B, heads, L, places)``."""
        weights = F.normalize(self.scores.weight, dim=1) if self.normalise else self.scores.weight
        scores = F.conv2d(features, weights)
        # Not len(scores): torch.export would take it as a fixed number.
        return scores.reshape(scores.shape[0], len(self.temperatures), -1, scores.shape[2:].numel())

    def _weights(self, scores: Tensor) -> Tensor:
        """Return the share of each place, in the shape of the scores."""
        heads = zip(scores.unbind(1), self.temperatures, strict=True)
        return torch.stack([_softmax(one, temperature) for one, temperature in heads], dim=1)


def _temperatures(given: Sequence[float | str]) -> tuple[float, ...]:
    """Return temperatures as numbers."""
    numbers = () if isinstance(given, str | int | float) else tuple(math.inf if t == "max" else t for t in given)
    if not numbers or not all(isinstance(number, int | float) and number > 0 for number in numbers):
        raise UserError(
            f"model.head_options.temperatures={given} is no list of numbers above 0, or max, as [1, 2, max]."
        )
    return tuple(float(number) for number in numbers)


def _softmax(scores: Tensor, temperature: float) -> Tensor:
    """Return the softmax over the last dimension; with an infinite temperature the places of the maximum share it."""
    if math.isinf(temperature):
        peaks = (scores == scores.amax(-1, keepdim=True)).to(scores.dtype)
        return peaks / peaks.sum(-1, keepdim=True)
    return (temperature * scores).softmax(-1)
