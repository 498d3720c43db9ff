"""Curves: the learning-rate factor as a pure function of the position inside a phase.

`factor(position, epochs)` takes the position in epochs (0 at the phase's first batch, growing by batches) and the
phase's length, and returns the factor on the peak learning rate. Nothing here knows torch or keeps state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polytag.errors import UserError


class Curve:
    """What a phase needs of its curve."""

    @property
    def epochs(self) -> int | None:
        """Length that the curve itself fixes, or None when any length will do."""
        return None

    def factor(self, position: float, epochs: int) -> float:
        """Return the factor on the peak rate at a position of a phase of that many epochs."""
        raise NotImplementedError  # each curve has its own; the other two have an answer that suits most

    def momentum(self, position: float, epochs: int) -> float | None:
        """Return the momentum (Adam's beta1) at a position, or None where the optimizer keeps its own."""
        return None


def cosine(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine; share runs from 0 to 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


@dataclass(frozen=True)
class Constant(Curve):
    """The peak rate throughout."""

    def factor(self, position: float, epochs: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cycles(Curve):
    """Cosine annealing with warm restarts: SGDR, Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.

    Attributes:
        count: Number of cycles.
        length: Epochs of the first cycle.
        mult: Each cycle is this many times as long as the one before.
    """

    count: int = 1
    length: int = 1
    mult: int = 1

    def __post_init__(self) -> None:
        if min(self.count, self.length, self.mult) < 1:
            raise UserError(f"recipe.curve: count, length and mult of cycles must be 1 or more: {self}.")

    @property
    def epochs(self) -> int:
        """All cycles together."""
        return sum(self.length * self.mult**i for i in range(self.count))

    def factor(self, position: float, epochs: int) -> float:
        """Return the cosine of the cycle that the position lies in; beyond the last cycle, its end."""
        start, length = 0.0, float(self.length)
        for _ in range(self.count):
            if position < start + length:
                return cosine(1.0, 0.0, (position - start) / length)
            start, length = start + length, length * self.mult
        return 0.0


@dataclass(frozen=True)
class OneCycle(Curve):
    """Cosine up, cosine down: fastai's form of the 1cycle policy (Smith 2018, https://arxiv.org/abs/1803.09820).

    Attributes:
        pct_start: Share of the phase that rises.
        div: The phase starts at peak / div.
        final_div: It ends at peak / final_div.
        cycle_momentum: Momentum moves the other way: from the first number down to the second while the rate rises, and
            back. None leaves the optimizer's own alone.
    """

    pct_start: float = 0.25
    div: float = 25.0
    final_div: float = 1e5
    cycle_momentum: Sequence[float] | None = (0.95, 0.85)

    def __post_init__(self) -> None:
        if not 0.0 < self.pct_start < 1.0:
            raise UserError(f"recipe.curve.pct_start must lie between 0 and 1, not {self.pct_start}.")
        if min(self.div, self.final_div) <= 0:
            raise UserError(f"recipe.curve: div and final_div must be above 0, not {self.div} and {self.final_div}.")
        moving = self.cycle_momentum
        if moving is not None:
            if len(moving) != 2 or not all(0.0 <= value < 1.0 for value in moving):
                raise UserError(f"recipe.curve.cycle_momentum must be two numbers from 0 to below 1, not {moving}.")
            object.__setattr__(self, "cycle_momentum", tuple(moving))  # a list from YAML would have no hash

    def factor(self, position: float, epochs: int) -> float:
        """Return the factor at the position's share of the phase."""
        return self._up_and_down(position / epochs, 1 / self.div, 1.0, 1 / self.final_div)

    def momentum(self, position: float, epochs: int) -> float | None:
        """Return the momentum at the position's share of the phase."""
        if self.cycle_momentum is None:
            return None
        high, low = self.cycle_momentum
        return self._up_and_down(position / epochs, high, low, high)

    def _up_and_down(self, share: float, start: float, middle: float, end: float) -> float:
        if share < self.pct_start:
            return cosine(start, middle, share / self.pct_start)
        return cosine(middle, end, (share - self.pct_start) / (1 - self.pct_start))


@dataclass(frozen=True)
class WarmupCosine(Curve):
    """Linear up over the first share of the phase, then half a cosine down to `end`."""

    warmup: float = 0.05
    end: float = 0.0

    def __post_init__(self) -> None:
        _check_share("warmup", self.warmup)

    def factor(self, position: float, epochs: int) -> float:
        """Return the factor at the position's share of the phase."""
        share = position / epochs
        if share < self.warmup:
            return share / self.warmup
        return cosine(1.0, self.end, (share - self.warmup) / (1 - self.warmup))


@dataclass(frozen=True)
class FlatCosine(Curve):
    """Flat until the given share of the phase, then half a cosine down to `end` (fastai's `fit_flat_cos`)."""

    flat: float = 0.75
    end: float = 0.0

    def __post_init__(self) -> None:
        _check_share("flat", self.flat)

    def factor(self, position: float, epochs: int) -> float:
        """Return the factor at the position's share of the phase."""
        share = position / epochs
        return 1.0 if share < self.flat else cosine(1.0, self.end, (share - self.flat) / (1 - self.flat))


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise UserError(f"recipe.curve.{name} must be 0 or more and below 1, not {value}.")
