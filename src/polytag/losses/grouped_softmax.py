"""Grouped softmax: one question for each group of classes that exclude one another, and one for each other class."""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from polytag.data.exclusive_groups import group_columns
from polytag.data.label_table import PRESENT
from polytag.losses.known import split_known
from polytag.losses.shares import mean_by_weight, shares_of
from polytag.models.activations import Activation

log = logging.getLogger(__name__)


class GroupedSoftmax(nn.Module):
    """Softmax cross-entropy in each exclusive group and binary cross-entropy of the other classes, mean over questions.

    A group is one question, as is each other class: what an image answers wrongly counts alike, and a group of two
    counts as the one yes-or-no question that it is. An image asks a group's question where one of its classes is known
    to be present: the others are absent then, known or not. Where none is, the answer is either unknown or none of
    them, which a softmax cannot say, and the question is left out. Several present classes share the answer. A share
    of MixUp counts as that share of an image that has the label.

    Args:
        groups: The class names of each group, `data.exclusive_groups`.
        classes: The class names in the order of the columns.
        train_targets: ``(M, L)`` int8 targets of the training rows; None: they are not looked at.

    Attributes:
        activation: A softmax in each group, a sigmoid elsewhere.

    Raises:
        UserError: There is no group, or one cannot be: see `group_columns`.
    """

    free: Tensor

    def __init__(
        self,
        groups: Sequence[Sequence[str]],
        classes: Sequence[str],
        train_targets: npt.NDArray[np.int8] | None = None,
    ) -> None:
        super().__init__()
        columns = group_columns(groups, classes, "criterion")
        self.activation = Activation("sigmoid", groups=columns)
        grouped = {column for group in columns for column in group}
        free = [column for column in range(len(classes)) if column not in grouped]
        self.register_buffer("free", torch.tensor(free, dtype=torch.long), persistent=False)
        for number, group in enumerate(columns):
            self.register_buffer(f"group_{number}", torch.tensor(group), persistent=False)
            if train_targets is not None:
                _report_other_counts(train_targets[:, group], groups[number])

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        logits = logits.float()
        asked = known[:, self.free]
        losses = binary_cross_entropy_with_logits(logits[:, self.free], certain[:, self.free], reduction="none")
        loss, questions = torch.where(asked, losses, 0.0).sum(), asked.sum().float()
        for number in range(len(self.activation.groups)):
            group = self.get_buffer(f"group_{number}")
            shares, weights = shares_of(certain[:, group])
            loss = loss - (shares * logits[:, group].log_softmax(1)).sum()
            questions = questions + weights.sum()
        return mean_by_weight(loss, questions)


def _report_other_counts(targets: npt.NDArray[np.int8], group: Sequence[str]) -> None:
    """Say how many training rows have not exactly one class of a group: some mean that the group is none."""
    counts = (targets == PRESENT).sum(1)
    none, several = int((counts == 0).sum()), int((counts > 1).sum())
    if none or several:
        log.warning(
            f"criterion grouped_softmax: of {len(counts):,} training images {none:,} have none of "
            f"{', '.join(map(str, group))}, which leaves this group out of their loss, and {several:,} have several."
        )
