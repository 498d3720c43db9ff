"""Views of an image at test time: what a test-time augmentation is made of.

A TTA says which passes over the images it needs, and which views are taken of the images of a pass; the predictor does
the rest. Views that show the same prepared image share a pass: eight symmetries cost one decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from polytag.data.transforms import Transforms
from polytag.errors import UserError
from polytag.models.backbone import check_image_size
from polytag.models.network import Network


@dataclass(frozen=True)
class View:
    """One look at a prepared batch.

    Attributes:
        operation: ``(B, 3, H, W)`` uint8 images on the device -> what the network sees of them.
        weight: Share of this view's probabilities in the mean. Those of all passes add up to 1.
    """

    operation: Callable[[torch.Tensor], torch.Tensor]
    weight: float


@dataclass(frozen=True)
class Pass:
    """One walk over all images.

    Attributes:
        transforms: Its evaluation transforms prepare the images.
        image_size: Side in pixels that they are prepared at.
        views: What the network sees of each prepared batch.
    """

    transforms: Transforms
    image_size: int
    views: tuple[View, ...]


class TTA(Protocol):
    """What the prediction asks of a test-time augmentation."""

    def passes(self, transforms: Transforms, image_size: int) -> list[Pass]:
        """Return the passes over the images of a run with these transforms and this image size."""
        ...


def whole(images: torch.Tensor) -> torch.Tensor:
    """Return the images as they are."""
    return images


def symmetry(images: torch.Tensor, quarter_turns: int, mirrored: bool) -> torch.Tensor:
    """Return the images turned anticlockwise, and then perhaps mirrored left to right."""
    turned = images.rot90(quarter_turns, (2, 3))
    return turned.flip(3) if mirrored else turned


def crop(images: torch.Tensor, top: int, left: int, size: int) -> torch.Tensor:
    """Return a square of the images."""
    return images[:, :, top : top + size, left : left + size]


PLAIN = View(whole, 1.0)


def check_views(tta: TTA, network: Network, transforms: Transforms, image_size: int) -> None:
    """Refuse a TTA whose views the network cannot take.

    Raises:
        UserError: The size of such a view.
    """
    for part in tta.passes(transforms, image_size):
        blank = torch.zeros(1, 3, part.image_size, part.image_size, dtype=torch.uint8)
        for side in sorted({view.operation(blank).shape[-1] for view in part.views} - {image_size}):
            try:
                check_image_size(network, side)
            except UserError as error:
                raise UserError(f"{tta} asks for another image size: {error}") from error
