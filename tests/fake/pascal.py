"""PASCAL's files in both layouts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fake.images import draw, random_labels, write_image

CLASSES = ("bus", "car", "cat", "person", "train")


def make_fastai(root: Path, rows: int = 20, seed: int = 0) -> list[list[str]]:
    """Write `train.csv` (every fourth row validates) and `train/`; return the labels of each row."""
    labels = random_labels(CLASSES, rows, seed)
    lines = ["fname,labels,is_valid"]
    for row, has in enumerate(labels):
        lines.append(f"{row:06d}.jpg,{' '.join(has)},{row % 4 == 3}")
        write_image(root / "train" / f"{row:06d}.jpg", draw(has, CLASSES, seed=row))
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return labels


def make_voc(root: Path, objects: Mapping[str, Sequence[tuple[str, int]]], lists: Mapping[str, Sequence[str]]) -> None:
    """Write annotations of (name, difficult) objects an image, the image lists by name, and the images."""
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for row, (image, found) in enumerate(objects.items()):
        items = "".join(
            f"<object><name>{name}</name><difficult>{difficult}</difficult>"
            f"<bndbox><xmin>1</xmin></bndbox><part><name>head</name></part></object>"
            for name, difficult in found
        )
        (root / "Annotations" / f"{image}.xml").write_text(f"<annotation><size/>{items}</annotation>")
        write_image(root / "JPEGImages" / f"{image}.jpg", draw([name for name, _ in found], CLASSES, seed=row))
    for name, images in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{image}\n" for image in images))
