"""Options of policies and searches: the config may hold texts and lists where numbers are wanted."""

import math
from numbers import Integral, Real

from polytag.errors import UserError


def is_number(value: object) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_folds(folds: int, seed: int) -> None:
    """Refuse a cut into folds that leaves no other images to try thresholds on.

    Raises:
        UserError: Less than two folds, or no seed.
    """
    if not (is_whole(folds) and folds >= 2):
        raise UserError(
            f"policy.folds={folds} has to be a whole number from 2 on: thresholds need other images to be tried on. "
            "Use 5."
        )
    if not (is_whole(seed) and seed >= 0):
        raise UserError(f"policy.seed={seed} has to be a whole number from 0 on.")


def check_support(min_support: int) -> None:
    """Refuse to search where there may be nothing to find.

    Raises:
        UserError: A support below 1.
    """
    if not (is_whole(min_support) and min_support >= 1):
        raise UserError(
            f"policy.min_support={min_support} has to be a whole number from 1 on: no positive, no threshold."
        )
