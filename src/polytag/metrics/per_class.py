"""The scores of each class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from polytag.metrics.calibration import class_calibration_errors
from polytag.metrics.counts import counts_of_classes
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.ranking_scores import class_average_precisions, class_roc_aucs


@dataclass(frozen=True)
class ClassScore:
    """How well one class is found; NaN where a number has no meaning.

    Attributes:
        name: Name of the class.
        support: Number of images that have it.
        chance: Share of the images of which it is known that have it: the average precision of guessing.
        average_precision: NaN where no image has it.
        roc_auc: NaN where no image or every image has it.
        precision: Share of its decisions that are right; NaN where there is none.
        recall: Share of its images that are found; NaN where there is none.
        f1: Harmonic mean of the two; NaN where no image has it.
        calibration_error: Expected calibration error of its probabilities, 15 bins.
        tp: Images that have it and were given it.
        fp: Images that were given it wrongly.
        fn: Images that have it and were not given it.
        tn: The other images of which it is known.
    """

    name: str
    support: int
    chance: float
    average_precision: float
    roc_auc: float
    precision: float
    recall: float
    f1: float
    calibration_error: float
    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def f2(self) -> float:
        """F-beta of its decisions, recall weighing twice as much as precision; NaN where no image has it."""
        return 5 * self.tp / (5 * self.tp + 4 * self.fn + self.fp) if self.support else math.nan


def class_scores(evaluation: Evaluation, classes: Sequence[str]) -> list[ClassScore]:
    """Return the scores of the L classes in their order, of an evaluation without weights."""
    assert evaluation.weights is None
    counts = counts_of_classes(evaluation)
    tp, fp, fn, tn = (cells[0] for cells in (counts.tp, counts.fp, counts.fn, counts.tn))
    support, given = tp + fn, tp + fp
    columns = (
        support,
        support / (support + fp + tn),
        class_average_precisions(evaluation)[0],
        class_roc_aucs(evaluation)[0],
        tp / given,
        tp / support,
        torch.where(support > 0, 2 * tp / (given + support), torch.nan),
        class_calibration_errors(evaluation)[0],
    )
    whole = torch.stack([tp, fp, fn, tn], 1).long().tolist()
    rows = zip(classes, torch.stack(columns, 1).tolist(), whole, strict=True)
    return [ClassScore(name, int(numbers[0]), *numbers[1:], *cells) for name, numbers, cells in rows]
