"""True and false positives and negatives: of each class, of each image, or of everything together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polytag.metrics.evaluation import Evaluation


@dataclass(frozen=True)
class Counts:
    """How often a label was rightly given, wrongly given, missed, and rightly not given; float64, all of one shape."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor

    @property
    def known(self) -> Tensor:
        """How many decisions there are whose answer is known."""
        return self.tp + self.fp + self.fn + self.tn


def counts_of_classes(evaluation: Evaluation) -> Counts:
    """Return ``(B, L)`` counts."""
    cells = evaluation.once(_cells)
    return Counts(*evaluation.total(cells.flatten(1)).reshape(-1, *cells.shape[1:]).unbind(1))


def counts_of_images(evaluation: Evaluation) -> Counts:
    """Return ``(N,)`` counts, whatever the weights."""
    return Counts(*evaluation.once(_cells_of_images).unbind(1))


def counts_of_all(evaluation: Evaluation) -> Counts:
    """Return ``(B,)`` counts."""
    return Counts(*evaluation.total(evaluation.once(_cells_of_images)).unbind(1))


def _cells(evaluation: Evaluation) -> Tensor:
    """Return ``(N, 4, L)`` 0 and 1: true positives, false positives, false negatives, true negatives."""
    given, yes, no = evaluation.decisions, evaluation.positives, evaluation.negatives
    return torch.stack([given & yes, given & no, ~given & yes, ~given & no], 1).double()


def _cells_of_images(evaluation: Evaluation) -> Tensor:
    """Return their ``(N, 4)`` sums over the classes."""
    return evaluation.once(_cells).sum(2)
