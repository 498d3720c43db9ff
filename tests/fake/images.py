"""Small images whose labels a network can learn: each label is a coloured bar at its own place."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def random_labels(classes: Sequence[str], rows: int, seed: int = 0) -> list[list[str]]:
    """Return label lists in which every class occurs, row 0 has no label and row 1 has all."""
    rng = np.random.default_rng(seed)
    drawn = rng.random((rows, len(classes))) < 0.4
    drawn[0], drawn[1] = False, True
    return [[name for name, has in zip(classes, row, strict=True) if has] for row in drawn]


def draw(
    labels: Sequence[str], classes: Sequence[str], seed: int = 0, height: int = 32, width: int = 40
) -> npt.NDArray[np.uint8]:
    """Return an ``(H, W, 3)`` RGB image: dark noise, and a bar for each label."""
    image = np.random.default_rng(seed).integers(0, 60, (height, width, 3), np.uint8)
    edges = np.linspace(0, width, len(classes) + 1).astype(int)
    for place, name in enumerate(classes):
        if name in labels:
            colour = colorsys.hsv_to_rgb(place / len(classes), 1.0, 1.0)
            image[height // 4 :, edges[place] : edges[place + 1]] = np.multiply(colour, 255).astype(np.uint8)
    return image


def write_image(path: Path, pixels: npt.NDArray[np.uint8], **options: object) -> Path:
    """Write RGB pixels in the format of the suffix, and the folders above where they are not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path
