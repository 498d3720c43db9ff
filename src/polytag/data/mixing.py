"""MixUp and CutMix: two images of a batch in one, and their labels likewise."""

import torch
from torch import Tensor
from torchvision.transforms import v2

from polytag.errors import UserError


class Mixing:
    """Mix each image of a device batch with its neighbour, in some batches; the multi-hot targets become shares.

    MixUp: Zhang et al. 2018, https://arxiv.org/abs/1710.09412. CutMix: Yun et al. 2019, https://arxiv.org/abs/1905.04899.
    It draws from torch's global generator, which is seeded for each training batch.

    Args:
        mixup: Alpha of MixUp's Beta distribution; 0 switches it off.
        cutmix: Alpha of CutMix's; 0 switches it off. With both on, each batch gets one of them, by lot.
        p: Probability that a batch is mixed.
    """

    def __init__(self, mixup: float = 0.0, cutmix: float = 0.0, p: float = 1.0) -> None:
        if min(mixup, cutmix) < 0:
            raise UserError(f"mixing: alphas must be 0 or more, not mixup={mixup} and cutmix={cutmix}.")
        if not 0.0 <= p <= 1.0:
            raise UserError(f"mixing.p must lie between 0 and 1, not {p}.")
        self._kinds = [
            kind(alpha=alpha) for kind, alpha in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if alpha > 0 and p > 0
        ]
        self.p = p

    @property
    def is_on(self) -> bool:
        """Whether any batch is mixed."""
        return bool(self._kinds)

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mixed batch.

        Args:
            images: ``(B, 3, H, W)`` of any type; float where mixed.
            targets: ``(B, L)`` float multi-hot, NaN where unknown: what is unknown of one of two images is so of both.
        """
        if not self._kinds or len(images) < 2 or torch.rand(()) >= self.p:
            return images, targets
        kind = self._kinds[int(torch.randint(len(self._kinds), ()))]
        mixed: tuple[Tensor, Tensor] = kind(images.float(), targets)
        return mixed
