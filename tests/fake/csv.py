"""A CSV of images, in the shapes that people have."""

from collections.abc import Sequence
from pathlib import Path

from fake.images import draw, random_labels, write_image

CLASSES = ("apple", "bread", "cheese")


def make_csv(root: Path, rows: int = 20, seed: int = 0, separator: str = " ") -> list[list[str]]:
    """Write `labels.csv` (image, tags) and the images beside it; return the labels of each row."""
    labels = random_labels(CLASSES, rows, seed)
    write_csv(root, ["image,tags", *(f'{row}.png,"{separator.join(has)}"' for row, has in enumerate(labels))])
    for row, has in enumerate(labels):
        write_image(root / f"{row}.png", draw(has, CLASSES, seed=row))
    return labels


def write_csv(root: Path, lines: Sequence[str], name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    """Write the lines of a label file."""
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return root / name
