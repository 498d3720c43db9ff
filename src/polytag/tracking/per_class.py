"""Scores of each class, for plots and the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from polytag.inference.scoring import Result
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import macro_average_precision


@dataclass(frozen=True)
class ClassScore:
    """How well one class is found.

    Attributes:
        name: Name of the class.
        support: Number of images that carry it.
        chance: Share of the images that carry it: the average precision of guessing.
        average_precision: NaN where no image carries it.
        precision: Share of its decisions that are right; NaN where there is none.
        recall: Share of its images that are found; NaN where there is none.
    """

    name: str
    support: int
    chance: float
    average_precision: float
    precision: float
    recall: float


def class_scores(result: Result, decisions: npt.NDArray[np.bool_]) -> list[ClassScore]:
    """Return the scores of the L classes in their order, from ``(N, L)`` decisions."""
    probabilities, targets = torch.from_numpy(result.probabilities), torch.from_numpy(result.table.targets)
    chosen = torch.from_numpy(decisions)
    scores = []
    for i, name in enumerate(result.table.classes):
        column = Evaluation(probabilities[:, i : i + 1], targets[:, i : i + 1], chosen[:, i : i + 1])
        support, given = int(targets[:, i].sum()), int(chosen[:, i].sum())
        right = int((chosen[:, i] & targets[:, i].bool()).sum())
        scores.append(
            ClassScore(
                name,
                support,
                support / len(targets),
                float(macro_average_precision(column)),
                right / given if given else float("nan"),
                right / support if support else float("nan"),
            )
        )
    return scores


def marked_names(
    targets: npt.NDArray[Any], decisions: npt.NDArray[Any], classes: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the names under one image, each with its kind, the right ones first.

    Args:
        targets: ``(L,)`` the true labels.
        decisions: ``(L,)`` the predicted ones.
        classes: The L names.

    Returns:
        Pairs of a text and `right`, `added` (predicted but not true, marked `+`) or `missed` (true but not predicted,
        marked `−`), so that nobody has to tell colours apart. `none` where there is neither a true nor a predicted one.
    """
    kinds = {
        "right": ("", targets.astype(bool) & decisions.astype(bool)),
        "added": ("+", ~targets.astype(bool) & decisions.astype(bool)),
        "missed": ("\N{MINUS SIGN}", targets.astype(bool) & ~decisions.astype(bool)),
    }
    names = [(mark + classes[int(i)], kind) for kind, (mark, chosen) in kinds.items() for i in np.flatnonzero(chosen)]
    return names or [("none", "right")]


def sample_rows(rows: int, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Return the indexes of a seeded choice of rows, in their order."""
    return np.sort(np.random.default_rng(seed).choice(rows, min(count, rows), replace=False))
