"""How long the rest of a training takes, as far as that can be told."""

from collections.abc import Mapping
from typing import NamedTuple

from polytag.schedule.recipe import Phase, Recipe


class TimeLeft(NamedTuple):
    """Seconds; where some of them cannot be told yet, they are a lower bound."""

    seconds: float
    is_bound: bool = False

    def __str__(self) -> str:
        """Return it as a clock has it: `0:07`, `12:30`, `1:02:03`; more than that as `>0:07`, or `?` if that is all."""
        if self.is_bound and self.seconds < 0.5:
            return "?"
        minutes, seconds = divmod(round(self.seconds), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{'>' * self.is_bound}{clock}"


def training_left(recipe: Recipe, epoch: int, of_epoch: TimeLeft, seen: Mapping[Phase, float]) -> TimeLeft:
    """Return how long the rest of the training takes.

    An epoch takes as long as one of equal work did. Where there was none, it takes at least as long as one of smaller
    images, or with less to train: then the sum is a lower bound.

    Args:
        recipe: The phases.
        epoch: The one that runs.
        of_epoch: What is left of it.
        seen: Seconds of an epoch by the phase's `work`, of those that were timed.
    """
    later = [recipe.phase_at(number).work for number in range(epoch + 1, recipe.epochs)]
    seconds = of_epoch.seconds + sum(seen.get(work, _least(work, seen)) for work in later)
    return TimeLeft(seconds, of_epoch.is_bound or any(work not in seen for work in later))


def _least(work: Phase, seen: Mapping[Phase, float]) -> float:
    return max((seconds for other, seconds in seen.items() if _takes_less(other, work)), default=0.0)


def _takes_less(one: Phase, other: Phase) -> bool:
    """Whether an epoch of one phase surely takes no longer than one of another."""
    is_cheaper = one.image_size <= other.image_size and set(one.frozen) >= set(other.frozen)
    alike = one.batch_size == other.batch_size and one.transforms == other.transforms
    return is_cheaper and alike and (one.precompute or not other.precompute)
