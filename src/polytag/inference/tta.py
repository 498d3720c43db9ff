"""The test-time augmentations (TTA): several views of each image, and the mean of their probabilities."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from polytag.data.presize import Presize
from polytag.data.transforms import Augmentation, Image, Transforms
from polytag.errors import UserError
from polytag.inference.views import PLAIN, Pass, View, crop, symmetry, whole


@dataclass(frozen=True)
class NoTTA:
    """One view: the image as in validation."""

    def passes(self, transforms: Transforms, image_size: int) -> list[Pass]:
        """Return the one plain pass."""
        return [Pass(transforms, image_size, (PLAIN,))]


@dataclass(frozen=True)
class Flip:
    """The image and its mirror image.

    Attributes:
        mirror: Whether a mirrored image keeps its labels.

    Raises:
        UserError: It does not.
    """

    mirror: bool = True
    quarter_turns: ClassVar[tuple[int, ...]] = (0,)

    def __post_init__(self) -> None:
        if not self.mirror:
            raise UserError(
                f"tta={type(self).__name__.lower()} mirrors images, and data.mirror=false says that a mirrored image "
                "does not keep its labels. Choose another one, such as tta=five_crop, or insist with tta.mirror=true."
            )

    def passes(self, transforms: Transforms, image_size: int) -> list[Pass]:
        """Return one pass with all symmetries."""
        kinds = [(turns, mirrored) for turns in self.quarter_turns for mirrored in (False, True)]
        views = (View(partial(symmetry, quarter_turns=t, mirrored=m), 1 / len(kinds)) for t, m in kinds)
        return [Pass(transforms, image_size, tuple(views))]


@dataclass(frozen=True)
class Dihedral(Flip):
    """The 8 symmetries of a square: four turns, each with its mirror image."""

    quarter_turns: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)


@dataclass(frozen=True)
class FiveCrop:
    """The four corners and the middle of a larger image, each of the run's image size.

    Attributes:
        ratio: How much larger, by the side.

    Raises:
        UserError: The ratio does not enlarge.
    """

    ratio: float = 1.15

    def __post_init__(self) -> None:
        if self.ratio <= 1:
            raise UserError(f"tta.ratio={self.ratio} does not enlarge the image. Choose one above 1, such as 1.15.")

    def passes(self, transforms: Transforms, image_size: int) -> list[Pass]:
        """Return one pass at the larger size; its margins are whole pixels, so that the middle is the middle."""
        margin = max(1, round(image_size * (self.ratio - 1) / 2))
        far = 2 * margin
        corners = ((0, 0), (0, far), (far, 0), (far, far), (margin, margin))
        views = (View(partial(crop, top=top, left=left, size=image_size), 1 / 5) for top, left in corners)
        return [Pass(transforms, image_size + far, tuple(views))]


@dataclass(frozen=True)
class MultiScale:
    """The whole image at several sizes.

    Attributes:
        scales: The sizes as multiples of the run's.
        multiple: The sizes differ from the run's by multiples of this; any scale but 1 by one at least.

    Raises:
        UserError: No scale, or one that is not positive.
    """

    scales: Sequence[float] = (0.85, 1.0, 1.15)
    multiple: int = 16

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0 or self.multiple < 1:
            raise UserError(
                f"tta.scales={list(self.scales)} with tta.multiple={self.multiple}: all must be positive, such as "
                "tta.scales=[0.85,1,1.15] tta.multiple=16."
            )

    def passes(self, transforms: Transforms, image_size: int) -> list[Pass]:
        """Return one plain pass for each size.

        Raises:
            UserError: Two scales come to the same size.
        """
        sizes = [self._scaled(image_size, scale) for scale in self.scales]
        if len(set(sizes)) < len(sizes):
            raise UserError(
                f"tta.scales={list(self.scales)} of {image_size} pixels give the sizes {', '.join(map(str, sizes))}: "
                f"leave out the repeated ones, or lower tta.multiple={self.multiple}."
            )
        return [Pass(transforms, size, (View(whole, 1 / len(sizes)),)) for size in sizes]

    def _scaled(self, image_size: int, scale: float) -> int:
        steps = round(image_size * (scale - 1) / self.multiple)
        if steps == 0 and scale != 1:
            steps = 1 if scale > 1 else -1
        return max(self.multiple, image_size + steps * self.multiple)


@dataclass(frozen=True)
class RandomViews:
    """fastai's way: views by the run's own training transforms, and the plain one.

    Attributes:
        views: How many random views.
        plain_weight: Share of the plain view in the mean. fastai 0.7 (`Learner.TTA` in old/fastai/learner.py) counts it
            as one more view for every four random ones: 1/5. In fastai v2 (`Learner.tta`) it is `beta`: 1/4.
        seed: The random views of an image follow from this number and the image, whatever stands beside it.

    Raises:
        UserError: No view, or a weight that is no share.
    """

    views: int = 4
    plain_weight: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 1 or not 0 <= self.plain_weight <= 1 or self.seed < 0:
            raise UserError(
                f"tta.views={self.views} tta.plain_weight={self.plain_weight} tta.seed={self.seed}: there must be one "
                "view or more, a weight from 0 to 1, and a seed from 0 on."
            )

    def passes(self, transforms: Transforms, image_size: int) -> list[Pass]:
        """Return the plain pass and one for each random view."""
        share = (1 - self.plain_weight) / self.views
        return [
            Pass(transforms, image_size, (View(whole, self.plain_weight),)),
            *(
                Pass(_Drawn(transforms, (self.seed, number)), image_size, (View(whole, share),))
                for number in range(self.views)
            ),
        ]


@dataclass(frozen=True)
class _Drawn:
    """A transform group that evaluates with its training transforms, drawn by seeds and image."""

    transforms: Transforms
    seeds: tuple[int, ...]

    @property
    def resize(self) -> str:
        return self.transforms.resize

    def train(self, size: int) -> Augmentation:
        return self.transforms.train(size)

    def evaluation(self, size: int) -> Augmentation:
        return _ByImage(self.transforms.train(size), self.seeds)

    def presized(self, size: int) -> Presize | None:
        return self.transforms.presized(size)

    @property
    def views(self) -> int:
        return 1


class _ByImage(Augmentation):
    """Random transforms whose draws follow from seeds and the image's pixels.

    So the views of an image are the same alone, in a folder and in any part of a data set, for any number of workers.
    """

    def __init__(self, drawn: Augmentation, seeds: tuple[int, ...]) -> None:
        self._drawn, self._seeds = drawn, seeds

    def __call__(self, image: Image, key: Sequence[int] | None = None) -> Image:
        return self._drawn(image, (*self._seeds, zlib.crc32(image.tobytes())))
