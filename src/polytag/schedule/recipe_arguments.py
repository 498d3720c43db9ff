"""What the recipes' arguments mean: divisors of the layer groups, one number for all or one each, lengths of phases."""

from collections.abc import Sequence
from typing import Any

from polytag.errors import UserError
from polytag.schedule.curves import Curve


def group_divisors(
    groups: int, group_lr_div: Sequence[float] | None = None, group_lr_decay: float | None = None
) -> tuple[float, ...]:
    """Return what divides the rate of each layer group.

    Args:
        groups: How many there are.
        group_lr_div: The numbers themselves; 1 each where neither is given.
        group_lr_decay: Layer-wise decay, which comes before the numbers: each group's rate is this many times that of
            the group after it (Clark et al. 2020, ELECTRA; Bao et al. 2021, BEiT). 1 is the same rate for all.

    Raises:
        UserError: A decay that is not above 0.
    """
    if group_lr_decay is None:
        return tuple(group_lr_div or (1.0,) * groups)
    if not group_lr_decay > 0:
        raise UserError(f"recipe.group_lr_decay must be above 0, such as 0.7, not {group_lr_decay}.")
    return tuple(group_lr_decay ** (i - groups + 1) for i in range(groups))


def stage_lrs(
    lr: float, divisors: float | Sequence[float], stages: Sequence[str], name: str = "stage_lr_div"
) -> list[float]:
    """Return the head's peak rate in each stage; `name` is what errors call the divisors.

    Raises:
        UserError: A divisor that is not above 0, or not as many as stages.
    """
    listed = one_each(name, divisors, stages, "stage")
    if not min(listed) > 0:
        raise UserError(f"recipe: {name} must be above 0, not {min(listed)}.")
    return [lr / divisor for divisor in listed]


def phase_epochs(curve: Curve, epochs: Any, path: str = "recipe") -> Any:
    """Return the length of a phase, or of each, from the recipe or from the curve; `path` is what errors call it.

    Raises:
        UserError: Neither says how long, or both do.
    """
    if epochs is None and curve.epochs is None:
        raise UserError(f"{path}.epochs is needed: only the cycles curve has a length of its own.")
    if epochs is not None and curve.epochs is not None:
        raise UserError(
            f"{path}.epochs={epochs} contradicts the curve, whose cycles last {curve.epochs}: set it to null."
        )
    return curve.epochs if epochs is None else epochs


def one_each(name: str, value: Any, things: Sequence[Any], kind: str) -> list[Any]:
    """Return one value a thing, from one for all or a list.

    Raises:
        UserError: Not as many values as things.
    """
    if value is None or isinstance(value, int | float):
        return [value] * len(things)
    if len(value) != len(things):
        raise UserError(
            f"recipe.{name} must be one number or one a {kind} ({', '.join(map(str, things))}), not {list(value)}."
        )
    return list(value)
