"""What every score is computed from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from polytag.errors import UserError


@dataclass(frozen=True)
class Evaluation:
    """The predictions for some images beside the truth, one row an image, one column a class.

    Attributes:
        probabilities: ``(N, L)`` float32 or float64 in 0 to 1; never logits, which torchmetrics would take as they are.
        targets: ``(N, L)`` uint8 or bool, multi-hot.
        decisions: ``(N, L)`` bool, the labels that the policy gives.

    Raises:
        UserError: A probability is NaN.
    """

    probabilities: Tensor
    targets: Tensor
    decisions: Tensor

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        assert len(shape) == 2 and self.targets.shape == shape and self.decisions.shape == shape, (
            shape,
            self.targets.shape,
            self.decisions.shape,
        )
        assert self.probabilities.dtype in (torch.float32, torch.float64), self.probabilities.dtype
        assert self.targets.dtype in (torch.uint8, torch.bool), self.targets.dtype
        assert self.decisions.dtype == torch.bool, self.decisions.dtype
        if self.probabilities.isnan().any():
            rows = int(self.probabilities.isnan().any(1).sum())
            raise UserError(
                f"The network gave NaN for {rows:,} of {shape[0]:,} images: the training diverged. "
                "Lower recipe.lr, or use trainer.precision=32."
            )
        assert ((self.probabilities >= 0) & (self.probabilities <= 1)).all(), "probabilities outside 0 to 1: logits?"
        assert self.targets.dtype == torch.bool or bool((self.targets <= 1).all()), "targets are not multi-hot"
