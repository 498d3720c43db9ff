"""Binary cross-entropy: each label is a yes-or-no question of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from polytag.errors import UserError


class BCE(nn.Module):
    """Binary cross-entropy with logits, averaged over images and labels.

    Args:
        pos_weight: How much a positive of each class weighs, in the order of the classes; None: 1 each.
        label_smoothing: How far targets move from 0 and 1 towards 1/2: 0.1 makes them 0.05 and 0.95.

    Raises:
        UserError: A weight is not positive, or the smoothing is outside 0 to below 1.
    """

    pos_weight: Tensor | None

    def __init__(self, pos_weight: Sequence[float] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if pos_weight is not None and not all(weight > 0 for weight in pos_weight):
            raise UserError(f"criterion.pos_weight={list(pos_weight)} has to hold numbers above 0 only.")
        if not 0 <= label_smoothing < 1:
            raise UserError(f"criterion.label_smoothing={label_smoothing} has to be at least 0 and below 1.")
        weights = torch.tensor(list(pos_weight), dtype=torch.float32) if pos_weight is not None else None
        # Not saved: it comes from the config, and checkpoints with and without it stay interchangeable.
        self.register_buffer("pos_weight", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for ``(N, L)`` targets in 0 to 1, in 32-bit whatever the input."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        if self.pos_weight is not None and len(self.pos_weight) != logits.shape[1]:
            raise UserError(
                f"criterion.pos_weight has {len(self.pos_weight)} numbers for {logits.shape[1]} classes: give each one."
            )
        smoothed = targets.float() * (1 - self.label_smoothing) + self.label_smoothing / 2
        return binary_cross_entropy_with_logits(logits.float(), smoothed, pos_weight=self.pos_weight)
