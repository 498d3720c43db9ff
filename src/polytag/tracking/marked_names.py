"""How single predictions are shown: which names stand under an image, and which images are shown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import ABSENT, PRESENT, UNKNOWN

MAX_UNKNOWN = 3  # labels of an image that nobody knows, by name


def marked_names(
    targets: npt.NDArray[Any], decisions: npt.NDArray[Any], classes: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the names under one image, each with its kind, the right ones first.

    Args:
        targets: ``(L,)`` the true labels, -1 where unknown.
        decisions: ``(L,)`` the predicted ones.
        classes: The L names.

    Returns:
        Pairs of a text and `right`, `added` (predicted but not true, marked `+`), `missed` (true but not predicted,
        marked `−`) or `unknown` (predicted, and nobody knows, marked `?`), so that nobody has to tell colours apart.
        `none` where there is neither a true nor a predicted one.
    """
    given = decisions.astype(bool)
    kinds = {
        "right": ("", (targets == 1) & given),
        "added": ("+", (targets == 0) & given),
        "missed": ("\N{MINUS SIGN}", (targets == 1) & ~given),
        "unknown": ("?", (targets < 0) & given),
    }
    names = [(mark + classes[int(i)], kind) for kind, (mark, chosen) in kinds.items() for i in np.flatnonzero(chosen)]
    return names or [("none", "right")]


def labels_below(targets: npt.NDArray[np.int8], classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the labels of an image as `marked_names` does; of many that nobody knows, the number."""
    unknown = targets == UNKNOWN
    if unknown.sum() <= MAX_UNKNOWN:
        return marked_names(targets, targets != ABSENT, classes)
    named = marked_names(targets, targets == PRESENT, classes) if (targets == PRESENT).any() else []
    return [*named, (f"? {unknown.sum()} unknown", "unknown")]
