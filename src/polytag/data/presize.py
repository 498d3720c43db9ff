"""Presizing: each image is shrunk once to a little more than its training size, before any augmentation.

It is part of the preprocessing, with and without a cache: a cache only remembers its result. So whether there is one
changes no pixel. (fastai 0.7 cached such images, `resize_imgs`; fastai v2 calls it presizing.)
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

# Raised whenever the same file and the same settings come to other pixels than before: caches are then built anew.
VERSION = 1
MODES = ("squish", "crop", "pad")


@dataclass(frozen=True)
class Presize:
    """A size that images are shrunk to, never enlarged.

    Attributes:
        side: In pixels, larger than what the transforms make of it.
        mode: `squish` shrinks both sides to it, `crop` the shorter and `pad` the longer one in proportion: what the
            transforms of that name need.
    """

    side: int
    mode: str

    def __post_init__(self) -> None:
        assert self.side > 0 and self.mode in MODES, self

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of a shrunken image, in pixels."""
        if self.mode == "squish":
            return min(height, self.side), min(width, self.side)
        scale = min(1.0, self.side / (min(height, width) if self.mode == "crop" else max(height, width)))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def reduction(self, height: int, width: int) -> int:
        """Return by how much a decoder may shrink a file of that size without going below the target: 1, 2, 4 or 8."""
        wanted_height, wanted_width = self.target(height, width)
        return max(d for d in (1, 2, 4, 8) if height // d >= wanted_height and width // d >= wanted_width)

    def shrink(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the ``(H, W, 3)`` image at its target, by averaging over areas."""
        wanted = self.target(*image.shape[:2])
        if wanted == image.shape[:2]:
            return image
        return np.asarray(cv2.resize(image, wanted[::-1], interpolation=cv2.INTER_AREA), np.uint8)
