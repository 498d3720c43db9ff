"""The recipe: the ordered phases of a training as plain data, and functions of the position in it.

The position counts epochs: `epoch + optimizer steps done in it / optimizer steps of it`. Frozen groups, learning rates
and image sizes are functions of the position alone, so a run that is stopped and goes on has nothing of them to
restore. Nothing here knows torch: a recipe can be printed and plotted without a network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from polytag.errors import UserError, did_you_mean, first_few
from polytag.schedule.curves import Constant, Curve


def group_names(count: int) -> tuple[str, ...]:
    """Return the names of so many layer groups, from the input to the head. Three are early, late and head."""
    if count < 2:
        raise UserError(f"model.layer_groups={count}: there must be 2 groups or more, the head being the last.")
    return ("early", "late", "head") if count == 3 else (*(f"group_{i}" for i in range(count - 1)), "head")


def join_names(names: Sequence[str]) -> str:
    """Return the names of some layer groups for people: of many the first, the last and their number."""
    return "+".join(names) if len(names) <= 3 else f"{names[0]} to {names[-1]} ({len(names)})"


GROUPS = group_names(3)


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one image size, one set of frozen groups and one learning-rate curve.

    Attributes:
        image_size: Side of the square image, in pixels.
        epochs: Length of the phase.
        lr: Peak learning rate of the head, the last group.
        curve: Factor on the peak rates over the phase.
        frozen: Names of the layer groups that do not train.
        group_lr_div: Each group's peak rate is `lr` divided by its number here; in the order of the groups. 1 each
            where not given.
        groups: Names of the layer groups, from the input to the head.
        batch_size: Images a step and process; None for the run's.
        transforms: Transform group of the training images; None for the run's.
        precompute: Whether the frozen part of the network runs only once over the images, and the head trains on what
            it gave. All groups but the head must be frozen.
        views: How many views of each training image are computed then: 1, or the 8 symmetries of a square.
    """

    image_size: int
    epochs: int
    lr: float
    curve: Curve
    frozen: tuple[str, ...] = ()
    group_lr_div: tuple[float, ...] = ()
    groups: tuple[str, ...] = GROUPS
    batch_size: int | None = None
    transforms: Any = None
    precompute: bool = False
    views: int = 1

    def __post_init__(self) -> None:
        if not self.group_lr_div:
            object.__setattr__(self, "group_lr_div", (1.0,) * len(self.groups))
        if self.image_size < 1 or self.epochs < 1 or self.image_size % 1 or self.epochs % 1:
            raise UserError(f"recipe: image size and epochs must be whole numbers from 1, not {self.describe()}.")
        if not self.lr > 0:
            raise UserError(f"recipe.lr must be above 0, not {self.lr}.")
        if len(self.group_lr_div) != len(self.groups) or min(self.group_lr_div) <= 0:
            raise UserError(
                f"recipe.group_lr_div must have one number above 0 a layer group ({', '.join(self.groups)}), "
                f"not {list(self.group_lr_div)}. For any number of groups: recipe.group_lr_decay=0.7."
            )
        if unknown := set(self.frozen) - set(self.groups):
            near, there = did_you_mean(min(unknown), self.groups), ", ".join(self.groups)
            raise UserError(f"recipe: no layer group {first_few(unknown)} to freeze.{near} There are {there}.")
        if set(self.frozen) == set(self.groups):
            raise UserError("recipe: a phase in which every layer group is frozen trains nothing.")
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"recipe: a phase's batch_size must be 1 or more, not {self.batch_size}.")
        if self.precompute and not self.trains_head_only:
            raise UserError(f"recipe.precompute=true needs all groups but {self.groups[-1]} frozen: {self.describe()}.")
        if self.views not in (1, 8):
            raise UserError(f"recipe.views={self.views} is neither 1 nor 8 (the symmetries of a square).")

    def group_lrs(self, position: float) -> dict[str, float]:
        """Return each group's learning rate at a position inside this phase, in epochs; 0 for frozen groups."""
        factor = self.curve.factor(position, self.epochs)
        return {
            group: 0.0 if group in self.frozen else self.lr / div * factor
            for group, div in zip(self.groups, self.group_lr_div, strict=True)
        }

    def momentum(self, position: float) -> float | None:
        """Return the momentum at a position inside this phase; None where the optimizer keeps its own."""
        return self.curve.momentum(position, self.epochs)

    @property
    def trains_head_only(self) -> bool:
        """Whether all groups but the last one are frozen."""
        return set(self.frozen) == set(self.groups[:-1])

    @property
    def trained(self) -> str:
        """A few words for people about what trains."""
        once = ", features computed once" if self.precompute else ""
        return f"{join_names(self.frozen)} frozen{once}" if self.frozen else "all groups"

    @property
    def work(self) -> "Phase":
        """An epoch of the phase without its rates: phases of equal work take equally long an epoch."""
        return replace(self, epochs=1, lr=1.0, curve=Constant(), group_lr_div=())

    def describe(self) -> str:
        """Return one line for people: size, epochs, what is frozen."""
        trained = self.trained if self.frozen else "all groups train"
        return f"{self.epochs} epoch{'s' * (self.epochs != 1)} at {self.image_size} px, {trained}"


@dataclass(frozen=True)
class Recipe:
    """The ordered phases of a training."""

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        if not self.phases:
            raise UserError("recipe: there is no phase to train.")
        assert len({phase.groups for phase in self.phases}) == 1, [phase.groups for phase in self.phases]

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the layer groups, from the input to the head."""
        return self.phases[0].groups

    @property
    def epochs(self) -> int:
        """All phases together: the trainer's `max_epochs`."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def starts(self) -> tuple[int, ...]:
        """First epoch of each phase."""
        return tuple(sum(phase.epochs for phase in self.phases[:i]) for i in range(len(self.phases)))

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The different image sizes, in order of appearance."""
        return tuple(dict.fromkeys(phase.image_size for phase in self.phases))

    def index_at(self, epoch: int) -> int:
        """Return which phase an epoch belongs to; epochs past the end belong to the last one.

        After `fit`, Lightning's `current_epoch` equals `recipe.epochs`, hence the clamp.
        """
        return max(i for i, start in enumerate(self.starts) if start <= max(epoch, 0))

    def phase_at(self, epoch: int) -> Phase:
        """Return the phase that an epoch belongs to."""
        return self.phases[self.index_at(epoch)]

    def is_phase_start(self, epoch: int) -> bool:
        """Whether the epoch is the first of a phase."""
        return epoch in self.starts

    def phase_end(self, epoch: int) -> int:
        """Return the last epoch of the phase that an epoch belongs to."""
        index = self.index_at(epoch)
        return self.starts[index] + self.phases[index].epochs - 1

    def is_phase_end(self, epoch: int) -> bool:
        """Whether the epoch is the last of a phase."""
        return epoch == self.phase_end(epoch)

    def group_lrs(self, position: float) -> dict[str, float]:
        """Return each group's learning rate at a position of the training, in epochs."""
        index = self.index_at(math.floor(position))
        return self.phases[index].group_lrs(position - self.starts[index])

    def momentum(self, position: float) -> float | None:
        """Return the momentum at a position of the training; None where the optimizer keeps its own."""
        index = self.index_at(math.floor(position))
        return self.phases[index].momentum(position - self.starts[index])

    def precomputed(self, precompute: bool, views: int) -> "Recipe":
        """Return the recipe with the phases precomputed in which only the head trains.

        Raises:
            UserError: There is no such phase, or `views` is impossible.
        """
        if not precompute:
            return self
        if not any(phase.trains_head_only for phase in self.phases):
            raise UserError("recipe.precompute=true: there is no phase in which only the head trains. Leave it out.")
        phases = (replace(p, precompute=True, views=views) if p.trains_head_only else p for p in self.phases)
        return Recipe(tuple(phases))

    def scaled(self, factor: float) -> "Recipe":
        """Return the recipe with all rates multiplied."""
        return self if factor == 1 else Recipe(tuple(replace(p, lr=p.lr * factor) for p in self.phases))

    def shortened(self, max_epochs_per_phase: int | None) -> "Recipe":
        """Return the recipe with each phase cut to a number of epochs; its curve then spans the shorter phase.

        Cycles have a length of their own: they are cut off, not squeezed.
        """
        if max_epochs_per_phase is None:
            return self
        if max_epochs_per_phase < 1:
            raise UserError(f"max_epochs_per_phase must be 1 or more, not {max_epochs_per_phase}.")
        return Recipe(tuple(replace(p, epochs=min(p.epochs, max_epochs_per_phase)) for p in self.phases))


def position_at(epoch: int, batch: int, batches: int, accumulate: int = 1) -> float:
    """Return the position in epochs at a batch; with accumulation it moves once an optimizer step."""
    return epoch + (batch // accumulate) / math.ceil(batches / accumulate)
