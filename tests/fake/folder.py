"""A folder of folders: a copy of the image in each of its labels' folders."""

from pathlib import Path

from fake.images import draw, random_labels, write_image

CLASSES = ("cat", "dog", "mouse")


def make_folder(root: Path, rows: int = 20, seed: int = 0) -> list[list[str]]:
    """Write `<label>/<row>.png`, and `none/<row>.png` for rows without a label; return the labels of each row."""
    labels = random_labels(CLASSES, rows, seed)
    for row, has in enumerate(labels):
        for name in has or ["none"]:
            write_image(root / name / f"{row}.png", draw(has, CLASSES, seed=row))
    return labels
