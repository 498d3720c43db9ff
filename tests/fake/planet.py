"""Planet's files: the real label format, generated chips."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from fake.images import draw, random_labels, write_image

from polytag.data.planet import CLASSES


def make_planet(root: Path, rows: int = 24, seed: int = 0, suffix: str = ".jpg") -> list[list[str]]:
    """Write `train_v2.csv` and the chips of one kind; return the labels of each row."""
    labels = random_labels(CLASSES, rows, seed)
    root.mkdir(parents=True, exist_ok=True)
    lines = [f"train_{row},{' '.join(names)}" for row, names in enumerate(labels)]
    (root / "train_v2.csv").write_text("\n".join(["image_name,tags", *lines]) + "\n")
    for row, names in enumerate(labels):
        pixels = draw(names, CLASSES, seed=row, width=51)
        if suffix == ".jpg":
            write_image(root / "train-jpg" / f"train_{row}.jpg", pixels, quality=95, subsampling=0)
        else:
            write_tif(root / "train-tif-v2" / f"train_{row}.tif", pixels)
    return labels


def write_tif(path: Path, rgb: npt.NDArray[np.uint8]) -> Path:
    """Write a chip as Planet does: 16 bits; blue, green, red, near-infrared; 0..255 becomes 0..10,000."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blue_green_red = np.rint(rgb[:, :, ::-1].astype(np.float64) * (10000 / 255)).astype(np.uint16)
    infrared = np.full((*rgb.shape[:2], 1), 12345, np.uint16)
    bands = np.concatenate([blue_green_red, infrared], axis=2)
    tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="contig")
    return path
