"""Transform groups: resizing, geometry and colour of one image, on uint8. The only module that imports albumentations.

The randomness of a sample is a function of its key, not of a worker's stream: albumentations' own seeding gives all
workers of an epoch the same draws, and every epoch too where workers do not persist (2.0.8; see
tests/data/test_dataset.py).
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from polytag.data.presize import MODES, Presize
from polytag.errors import UserError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks a server for the newest version
import albumentations as A

Image = npt.NDArray[np.uint8]


class Augmentation:
    """The transforms of one image size; called with an image and, when they are random, with the sample's key."""

    def __init__(self, steps: Sequence[A.BasicTransform]) -> None:
        self._compose = A.Compose(list(steps))

    def __call__(self, image: Image, key: Sequence[int] | None = None) -> Image:
        """Return the ``(size, size, 3)`` RGB uint8 image; the same key gives the same pixels."""
        if key is not None:
            generator = np.random.default_rng(key)
            self._compose.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        return np.ascontiguousarray(self._compose(image=image)["image"])


class OneOfEight(Augmentation):
    """Fixed transforms, and then one of the 8 symmetries of the square, by the key."""

    def __call__(self, image: Image, key: Sequence[int] | None = None) -> Image:
        """Return the image, turned and mirrored as its key says."""
        view = symmetry_of(key or ())
        turned = np.rot90(super().__call__(image), view // 2)
        return np.ascontiguousarray(turned[:, ::-1] if view % 2 else turned)


def symmetry_of(key: Sequence[int]) -> int:
    """Return which symmetry a key draws: twice the quarter turns anticlockwise, plus 1 where it is mirrored then."""
    return int(np.random.default_rng(key).integers(8))


class Transforms(Protocol):
    """What the datamodule needs of a transform group."""

    @property
    def resize(self) -> str:
        """How the evaluation transforms make an image square: squish, crop or pad."""

    def train(self, size: int) -> Augmentation:
        """Return the random transforms of training images."""

    def evaluation(self, size: int) -> Augmentation:
        """Return the fixed transforms of validation, test and prediction."""

    def presized(self, size: int) -> Presize | None:
        """Return what images are shrunk to before either of them; None where they stay as they are."""

    @property
    def views(self) -> int:
        """How many views of an image training sees: 1, the 8 of `symmetry_of`, or 0 for more than can be listed."""


def resized(mode: str, size: int) -> list[A.BasicTransform]:
    """Return the steps that make any image a square of the size.

    `squish` changes the aspect ratio, `crop` keeps the middle, `pad` keeps everything and fills up with black.

    Raises:
        UserError: An unknown mode.
    """
    if mode == "squish":
        return [A.Resize(size, size, area_for_downscale="image")]
    if mode == "crop":
        return [A.SmallestMaxSize(size, area_for_downscale="image"), A.CenterCrop(size, size)]
    if mode == "pad":
        return [A.LongestMaxSize(size, area_for_downscale="image"), A.PadIfNeeded(size, size)]
    raise UserError(f"transforms.resize: {mode!r} is none of {', '.join(MODES)}.")


@dataclass(frozen=True)
class Plain:
    """No augmentation: the evaluation transforms for training too.

    Attributes:
        resize: How the image becomes square: squish, crop or pad.
        presize: Images are first shrunk to this times the image size, which random crops and rotations then take from;
            None: they are taken from the image as it is.
    """

    resize: str = "squish"
    presize: float | None = None

    def __post_init__(self) -> None:
        resized(self.resize, 8)  # an unknown mode ends the run before the data is read
        if self.presize is not None and self.presize < 1:
            raise UserError(f"transforms.presize={self.presize} would shrink below the image size: 1 or more, or null.")

    def train(self, size: int) -> Augmentation:
        """Return the same as `evaluation`."""
        return self.evaluation(size)

    def evaluation(self, size: int) -> Augmentation:
        """Return the resize alone."""
        return Augmentation(resized(self.resize, size))

    def presized(self, size: int) -> Presize | None:
        """Return what images are shrunk to first."""
        return None if self.presize is None else Presize(int(size * self.presize), self.resize)

    @property
    def views(self) -> int:
        """The plain one."""
        return 1


@dataclass(frozen=True)
class Dihedral(Plain):
    """For images without an up (satellite, microscope): the 8 symmetries of a square and small changes.

    Attributes:
        rotate: Largest rotation to either side, in degrees.
        zoom: Largest magnification.
        brightness: Largest relative change of brightness.
        contrast: Largest relative change of contrast.
        p: Probability of the rotation with zoom, and of the change of light; with 0 the symmetries alone are left.
    """

    rotate: float = 10.0
    zoom: float = 1.05
    brightness: float = 0.05
    contrast: float = 0.05
    p: float = 0.75

    def train(self, size: int) -> Augmentation:
        """Return resize, symmetry, rotation with zoom, light."""
        if self.p == 0:
            return OneOfEight(resized(self.resize, size))
        return Augmentation(
            [
                *resized(self.resize, size),
                A.D4(p=1.0),
                A.Affine(
                    rotate=(-self.rotate, self.rotate),
                    scale=(1.0, max(self.zoom, 1.0)),
                    border_mode=cv2.BORDER_REFLECT_101,
                    p=self.p,
                ),
                A.RandomBrightnessContrast(self.brightness, self.contrast, p=self.p),
            ]
        )

    @property
    def views(self) -> int:
        """The symmetries, where there is nothing else."""
        return 8 if self.p == 0 else 0


@dataclass(frozen=True)
class SideOn(Plain):
    """For photographs, which have an up: a random part of the image, perhaps mirrored, in slightly other colours.

    Attributes:
        mirror: Whether half of the images are mirrored.
        min_area: Smallest part of the image's area that is shown.
        max_aspect: Largest change of the aspect ratio, at least 1.
        colour: Largest relative change of brightness, contrast and saturation.
        hue: Largest shift of the hue, as a share of the colour circle.
        p: Probability of the change of colour.
    """

    mirror: bool = True
    min_area: float = 0.35
    max_aspect: float = 1.3333
    colour: float = 0.2
    hue: float = 0.02
    p: float = 0.75

    def train(self, size: int) -> Augmentation:
        """Return random crop to the size, mirror, colour."""
        around_one = (1 - self.colour, 1 + self.colour)
        return Augmentation(
            [
                A.RandomResizedCrop(
                    (size, size),
                    scale=(self.min_area, 1.0),
                    ratio=(1 / self.max_aspect, self.max_aspect),
                    area_for_downscale="image",
                ),
                A.HorizontalFlip(p=0.5 if self.mirror else 0.0),
                A.ColorJitter(around_one, around_one, around_one, (-self.hue, self.hue), p=self.p),
            ]
        )

    @property
    def views(self) -> int:
        """No two crops are alike."""
        return 0
