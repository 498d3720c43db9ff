"""The search space of a sweep: what is varied, and under which conditions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from polytag.sweep.override_text import override_text


@dataclass(frozen=True)
class Choices:
    """Values without an order, as the texts behind an equals sign."""

    texts: tuple[str, ...]

    def text(self, param: Any) -> str:
        """Return the text of what was drawn, which it is."""
        return str(param)

    def holds(self, param: Any) -> bool:
        """Say whether it could have been drawn."""
        return param in self.texts

    def params(self) -> tuple[str, ...]:
        """Return what may be drawn."""
        return self.texts


@dataclass(frozen=True)
class Steps:
    """Numbers at equal distances, in the order of a grid."""

    numbers: tuple[int, ...] | tuple[float, ...]

    def text(self, param: Any) -> str:
        """Return the text of what was drawn."""
        return override_text(param)

    def nearest(self, number: float) -> int | float:
        """Return the one of the numbers that is next to another."""
        return min(self.numbers, key=lambda one: abs(one - number))

    def holds(self, param: Any) -> bool:
        """Say whether it could have been drawn."""
        return param in self.numbers

    def params(self) -> tuple[int, ...] | tuple[float, ...]:
        """Return what may be drawn."""
        return self.numbers


@dataclass(frozen=True)
class Interval:
    """All numbers between two, these included."""

    low: float
    high: float
    log: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int)

    def text(self, param: Any) -> str:
        """Return the text of the number that was drawn, with all its digits."""
        return override_text(param)

    def holds(self, param: Any) -> bool:
        """Say whether it could have been drawn."""
        return type(param) is type(self.low) and self.low <= param <= self.high


@dataclass(frozen=True)
class Dimension:
    """One key that is varied.

    Attributes:
        key: As an override has it, with `+` or `@package`.
        values: What it may be.
        when: Texts that keys before it must have, one of several each; without any it is always varied.
    """

    key: str
    values: Choices | Steps | Interval
    when: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def name(self) -> str:
        """The key with its conditions; it may be varied in several ways, under conditions that exclude each other."""
        conditions = ", ".join(f"{key}={'|'.join(texts)}" for key, texts in self.when)
        return f"{self.key} [{conditions}]" if conditions else self.key

    def is_active(self, texts: Mapping[str, str]) -> bool:
        """Say whether it is varied, given the texts of the keys before it."""
        return all(texts.get(key) in accepted for key, accepted in self.when)

    def override(self, param: Any) -> str:
        """Return the override for what was drawn."""
        return f"{self.key}={self.values.text(param)}"


@dataclass(frozen=True)
class Space:
    """What is varied; a key's conditions are on keys before it.

    Attributes:
        dimensions: The keys.
        jobs: Lists of overrides, each combined with everything else; at least one, which may be empty.
    """

    dimensions: tuple[Dimension, ...]
    jobs: tuple[tuple[str, ...], ...] = ((),)

    @property
    def is_discrete(self) -> bool:
        """Whether all its jobs can be listed."""
        return not any(isinstance(dimension.values, Interval) for dimension in self.dimensions)


@dataclass(frozen=True)
class Point:
    """One job of a space: what was drawn, by key, and the overrides that say so."""

    overrides: tuple[str, ...]
    params: Mapping[str, Any]


def grid(space: Space) -> Iterator[Point]:
    """Yield all points of a discrete space, the last key changing first."""
    for job in space.jobs:
        for point in _extended(space.dimensions, Point((), {}), {}):
            yield Point((*job, *point.overrides), point.params)


def _extended(dimensions: tuple[Dimension, ...], point: Point, texts: Mapping[str, str]) -> Iterator[Point]:
    """Yield a point with everything that the dimensions add to it."""
    if not dimensions:
        yield point
        return
    first, *others = dimensions
    if not first.is_active(texts):
        yield from _extended(tuple(others), point, texts)
        return
    assert not isinstance(first.values, Interval), f"{first.key} has no list of values"
    for param in first.values.params():
        longer = Point((*point.overrides, first.override(param)), {**point.params, first.key: param})
        yield from _extended(tuple(others), longer, {**texts, first.key: first.values.text(param)})
