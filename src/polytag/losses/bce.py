"""Binary cross-entropy: each label is a yes-or-no question of its own."""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from polytag.data.label_table import ABSENT, PRESENT
from polytag.errors import UserError, first_few
from polytag.losses.known import mean_of_known, split_known

log = logging.getLogger(__name__)

COUNTS = "counts"


class BCE(nn.Module):
    """Binary cross-entropy with logits, averaged over what is known of images and labels.

    It is linear in the targets: a share of MixUp counts as that share of an image that has the label.

    Args:
        pos_weight: How much a positive of each class weighs, in the order of the classes; None: 1 each; `counts`: the
            negatives of the class for each positive, among the known training targets.
        label_smoothing: How far targets move from 0 and 1 towards 1/2: 0.1 makes them 0.05 and 0.95.
        max_pos_weight: No weight is larger; None: no limit.
        classes: The class names.
        train_targets: ``(M, L)`` int8 targets of the training rows; needed for `counts`.

    Raises:
        UserError: The weights are not positive or not one a class, or the smoothing is outside 0 to below 1.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        pos_weight: Sequence[float] | str | None = None,
        label_smoothing: float = 0.0,
        max_pos_weight: float | None = None,
        classes: Sequence[str] | None = None,
        train_targets: npt.NDArray[np.int8] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UserError(f"criterion.label_smoothing={label_smoothing} has to be at least 0 and below 1.")
        if max_pos_weight is not None and not max_pos_weight > 0:
            raise UserError(f"criterion.max_pos_weight={max_pos_weight} has to be above 0, or null.")
        weights = _weights(pos_weight, classes, train_targets)
        if weights is not None and max_pos_weight is not None:
            weights = weights.clamp(max=max_pos_weight)
        # Not saved: it comes from the config, and checkpoints with and without it stay interchangeable.
        self.register_buffer("pos_weight", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        assert self.pos_weight is None or len(self.pos_weight) == logits.shape[1], (self.pos_weight, logits.shape)
        certain, known = split_known(targets)
        smoothed = certain * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = binary_cross_entropy_with_logits(
            logits.float(), smoothed, pos_weight=self.pos_weight, reduction="none"
        )
        return mean_of_known(losses, known)


def _weights(
    pos_weight: Sequence[float] | str | None, classes: Sequence[str] | None, targets: npt.NDArray[np.int8] | None
) -> Tensor | None:
    if pos_weight is None:
        return None
    if pos_weight == COUNTS:
        assert classes is not None and targets is not None, "counts are taken from the training targets"
        return torch.from_numpy(weights_by_counts(targets, classes))
    if not isinstance(pos_weight, list | tuple):
        raise UserError(f"criterion.pos_weight={pos_weight} is none of null, counts and a list of one number a class.")
    if classes is not None and len(pos_weight) != len(classes):
        raise UserError(
            f"criterion.pos_weight has {len(pos_weight)} numbers for {len(classes)} classes: give each one, in the "
            f"order {first_few(classes, 20)}."
        )
    if not all(weight > 0 for weight in pos_weight):
        raise UserError(f"criterion.pos_weight={list(pos_weight)} has to hold numbers above 0 only.")
    return torch.tensor(list(pos_weight), dtype=torch.float32)


def weights_by_counts(targets: npt.NDArray[np.int8], classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the negatives for each positive of each class, among what is known of ``(M, L)`` targets.

    A class without a positive or without a negative gets 1, because neither says how much a positive should weigh.
    """
    positives, negatives = (targets == PRESENT).sum(0), (targets == ABSENT).sum(0)
    counted = (positives > 0) & (negatives > 0)
    if not counted.all():
        one_sided = first_few(name for name, both in zip(classes, counted, strict=True) if not both)
        log.warning(
            f"criterion.pos_weight=counts: weight 1 for {one_sided}: the training images lack positives or negatives."
        )
    return np.where(counted, negatives / np.maximum(positives, 1), 1.0).astype(np.float32)
