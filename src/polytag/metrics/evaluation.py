"""What every score is computed from."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from polytag.errors import UserError
from polytag.metrics.ranking import Ranking, Sums, rank_columns, rank_together

Made = TypeVar("Made")


@dataclass(frozen=True)
class Evaluation:
    """The predictions for some images beside the truth, one row an image, one column a class.

    Attributes:
        probabilities: ``(N, L)`` float32 or float64 in 0 to 1; never logits, which torchmetrics would take as they are.
        targets: ``(N, L)`` int8 (1 present, 0 absent, -1 unknown) or bool. What is unknown counts nowhere.
        decisions: ``(N, L)`` bool, the labels that the policy gives.
        weights: ``(B, N)`` float64, how often each image counts in each of B resamples of the images; None: each once,
            which is B = 1.

    Raises:
        UserError: A probability is NaN.
    """

    probabilities: Tensor
    targets: Tensor
    decisions: Tensor
    weights: Tensor | None = None
    _made: dict[Callable[["Evaluation"], Any], Any] = field(
        default_factory=dict, repr=False, compare=False, kw_only=True
    )

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        assert len(shape) == 2 and self.targets.shape == shape and self.decisions.shape == shape, (
            shape,
            self.targets.shape,
            self.decisions.shape,
        )
        assert self.probabilities.dtype in (torch.float32, torch.float64), self.probabilities.dtype
        assert self.targets.dtype in (torch.int8, torch.bool), self.targets.dtype
        assert self.decisions.dtype == torch.bool, self.decisions.dtype
        if self.weights is not None:
            assert self.weights.dtype == torch.float64 and self.weights.shape[1:] == shape[:1], self.weights.shape
        if self.probabilities.isnan().any():
            rows = int(self.probabilities.isnan().any(1).sum())
            raise UserError(
                f"The network gave NaN for {rows:,} of {shape[0]:,} images: the training diverged. "
                "Lower recipe.lr, or use trainer.precision=32."
            )
        assert ((self.probabilities >= 0) & (self.probabilities <= 1)).all(), "probabilities outside 0 to 1: logits?"
        assert self.targets.dtype == torch.bool or bool(((self.targets >= -1) & (self.targets <= 1)).all()), (
            "targets are not multi-hot"
        )

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def positives(self) -> Tensor:
        """``(N, L)`` bool: the labels that the images have."""
        return self.targets == 1

    @cached_property
    def negatives(self) -> Tensor:
        """``(N, L)`` bool: the labels that the images have not."""
        return self.targets == 0

    @cached_property
    def known(self) -> Tensor:
        """``(N, L)`` bool: what is known."""
        return self.positives | self.negatives

    @cached_property
    def class_sums(self) -> list[Sums]:
        """Sums down each class's ranking of the images."""
        return [ranking.sums(self._image_weights) for ranking in self.once(_class_rankings)]

    @cached_property
    def common_sums(self) -> Sums:
        """Sums down the one ranking of all decisions of all classes."""
        return self.once(_common_ranking).sums(self._image_weights)

    @cached_property
    def _image_weights(self) -> Tensor:
        """``(N, B)`` weights: a row an image, as rankings add them up."""
        if self.weights is None:
            return torch.ones(len(self), 1, dtype=torch.float64)
        return self.weights.T.contiguous()

    def once(self, make: Callable[["Evaluation"], Made]) -> Made:
        """Return what a function makes of the predictions, made once for all weights: it must not look at them."""
        if make not in self._made:
            self._made[make] = make(self)
        made: Made = self._made[make]
        return made

    def total(self, values: Tensor) -> Tensor:
        """Return the ``(B, K)`` sums over the images of ``(N, K)`` values, each image counted by its weight."""
        if self.weights is None:
            return values.sum(0, keepdim=True, dtype=torch.float64)
        return self.weights @ values.double()

    def mean(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """Return the ``(B,)`` means of ``(N,)`` values over the images of which something is known; NaN without one.

        Args:
            values: A number for each image.
            counted: ``(N,)`` bool: which images may count at all; None: all.
        """
        some = self.known.any(1) if counted is None else self.known.any(1) & counted
        sums = self.total(torch.stack([torch.where(some, values, 0), some], 1))
        return sums[:, 0] / sums[:, 1]

    def resampled(self, weights: Tensor) -> "Evaluation":
        """Return this evaluation with ``(B, N)`` weights; what is made `once` is made once for both."""
        return replace(self, weights=weights)

    def rows(self, index: Tensor) -> "Evaluation":
        """Return the evaluation of some images, by index."""
        return Evaluation(self.probabilities[index], self.targets[index], self.decisions[index])


def _class_rankings(evaluation: Evaluation) -> list[Ranking]:
    return rank_columns(evaluation.probabilities, evaluation.positives, evaluation.known)


def _common_ranking(evaluation: Evaluation) -> Ranking:
    return rank_together(evaluation.probabilities, evaluation.positives, evaluation.known)
