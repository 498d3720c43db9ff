"""The recipe: the ordered phases of a training as plain data, and functions of the position in it.

The position counts epochs: `epoch + optimizer steps done in it / optimizer steps of it`. Frozen groups, learning rates
and image sizes are functions of the position alone, so a run that is stopped and goes on has nothing of them to
restore. Nothing here knows torch: a recipe can be printed and plotted without a network.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polytag.errors import UserError, first_few
from polytag.schedule.curves import Curve

GROUPS = ("early", "late", "head")
STAGES: dict[str, tuple[str, ...]] = {"frozen": ("early", "late"), "unfrozen": ()}


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with one image size, one set of frozen groups and one learning-rate curve.

    Attributes:
        image_size: Side of the square image, in pixels.
        epochs: Length of the phase.
        lr: Peak learning rate of the head, the last group.
        curve: Factor on the peak rates over the phase.
        frozen: Names of the layer groups that do not train.
        group_lr_div: Each group's peak rate is `lr` divided by its number here; in the order of the groups.
        groups: Names of the layer groups, from the input to the head.
    """

    image_size: int
    epochs: int
    lr: float
    curve: Curve
    frozen: tuple[str, ...] = ()
    group_lr_div: tuple[float, ...] = (1.0, 1.0, 1.0)
    groups: tuple[str, ...] = GROUPS

    def __post_init__(self) -> None:
        if self.image_size < 1 or self.epochs < 1:
            raise UserError(f"recipe: a phase needs an image size and epochs of 1 or more, not {self.describe()}.")
        if not self.lr > 0:
            raise UserError(f"recipe.lr must be above 0, not {self.lr}.")
        if len(self.group_lr_div) != len(self.groups) or min(self.group_lr_div) <= 0:
            raise UserError(
                f"recipe.group_lr_div must have one number above 0 a layer group ({', '.join(self.groups)}), "
                f"not {list(self.group_lr_div)}."
            )
        if unknown := set(self.frozen) - set(self.groups):
            there = ", ".join(self.groups)
            raise UserError(f"recipe: no layer group {first_few(unknown)} to freeze; there are {there}.")
        if set(self.frozen) == set(self.groups):
            raise UserError("recipe: a phase in which every layer group is frozen trains nothing.")

    def group_lrs(self, position: float) -> dict[str, float]:
        """Return each group's learning rate at a position inside this phase, in epochs; 0 for frozen groups."""
        factor = self.curve.factor(position, self.epochs)
        return {
            group: 0.0 if group in self.frozen else self.lr / div * factor
            for group, div in zip(self.groups, self.group_lr_div, strict=True)
        }

    def describe(self) -> str:
        """Return one line for people: size, epochs, what is frozen."""
        frozen = f"{'+'.join(self.frozen)} frozen" if self.frozen else "all groups train"
        return f"{self.epochs} epoch{'s' * (self.epochs != 1)} at {self.image_size} px, {frozen}"


@dataclass(frozen=True)
class Recipe:
    """The ordered phases of a training."""

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        if not self.phases:
            raise UserError("recipe: there is no phase to train.")

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


def freeze_unfreeze(
    image_sizes: Sequence[int],
    stages: Sequence[str],
    lr: float,
    curve: Curve,
    epochs: int | Sequence[int] | None = None,
    group_lr_div: Sequence[float] = (9, 3, 1),
    stage_lr_div: Sequence[float] | None = None,
) -> Recipe:
    """Run all stages at each image size in turn: the classic staged fine-tuning.

    Args:
        image_sizes: Sides in pixels, usually growing.
        stages: `frozen` (only the head trains) and `unfrozen` (everything does), in order.
        lr: Peak rate of the head.
        curve: Shape of each phase.
        epochs: Epochs of a stage, or one number a stage; needless where the curve has a length of its own (cycles).
            A stage of 0 epochs is left out.
        group_lr_div: What divides `lr` for each layer group.
        stage_lr_div: What divides `lr` in each stage; 1 where not given.

    Raises:
        UserError: An unknown stage, or lists of different lengths.
    """
    if not image_sizes or not stages:
        raise UserError("recipe: image_sizes and stages must name at least one size and one stage.")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise UserError(f"recipe.stages: {unknown[0]!r} is none of {', '.join(STAGES)}.")
    stage_epochs = _per_stage("epochs", _epochs(curve, epochs), stages)
    stage_div = _per_stage("stage_lr_div", 1.0 if stage_lr_div is None else stage_lr_div, stages)
    return Recipe(
        tuple(
            Phase(size, int(count), lr / div, curve, STAGES[stage], tuple(group_lr_div))
            for size in image_sizes
            for stage, count, div in zip(stages, stage_epochs, stage_div, strict=True)
            if count
        )
    )


def one_stage(
    image_size: int, lr: float, curve: Curve, epochs: int | None = None, group_lr_div: Sequence[float] = (1, 1, 1)
) -> Recipe:
    """Train everything at one size: the plain training of most tools."""
    return Recipe((Phase(image_size, _epochs(curve, epochs), lr, curve, (), tuple(group_lr_div)),))


def linear_probe(image_size: int, lr: float, curve: Curve, epochs: int | None = None) -> Recipe:
    """Train the head alone on the frozen backbone: what the pretrained features are worth."""
    return Recipe((Phase(image_size, _epochs(curve, epochs), lr, curve, STAGES["frozen"]),))


def free_phases(
    phases: Sequence[Mapping[str, Any]], lr: float, curve: Curve, group_lr_div: Sequence[float] = (9, 3, 1)
) -> Recipe:
    """Take phases written out one by one.

    Args:
        phases: Fields of `Phase` each; `lr` may be left out, or be given as `lr_div`, a divisor of the recipe's.
        lr: Peak rate of the head in phases that do not say otherwise.
        curve: Shape of the phases that do not say otherwise.
        group_lr_div: What divides the rate for each layer group, likewise.

    Raises:
        UserError: An unknown or missing field, naming the phase.
    """
    built = []
    for number, fields in enumerate(phases):
        given = dict(fields)
        given["lr"] = float(given.pop("lr", lr)) / float(given.pop("lr_div", 1.0))
        given["frozen"] = tuple(given.pop("frozen", ()))
        given["group_lr_div"] = tuple(given.pop("group_lr_div", group_lr_div))
        given.setdefault("curve", curve)
        given["epochs"] = _epochs(given["curve"], given.pop("epochs", None))
        try:
            built.append(Phase(**given))
        except TypeError as error:
            raise UserError(f"recipe.phases[{number}]: {str(error).replace('Phase.__init__() ', '')}.") from error
    return Recipe(tuple(built))


def _epochs(curve: Curve, epochs: Any) -> Any:
    """Return the length of a phase, from the recipe or from the curve."""
    if epochs is None and curve.epochs is None:
        raise UserError("recipe.epochs is needed: only the cycles curve has a length of its own.")
    if epochs is not None and curve.epochs is not None:
        raise UserError(f"recipe.epochs={epochs} contradicts the curve, whose cycles last {curve.epochs}: drop one.")
    return curve.epochs if epochs is None else epochs


def _per_stage(name: str, value: Any, stages: Sequence[str]) -> list[Any]:
    """Return one value a stage."""
    if isinstance(value, int | float):
        return [value] * len(stages)
    if len(value) != len(stages):
        raise UserError(f"recipe.{name} must be one number or one a stage ({', '.join(stages)}), not {list(value)}.")
    return list(value)
