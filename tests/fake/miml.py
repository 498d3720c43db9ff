"""MIML's files: both label files, generated scenes of several sizes."""

from pathlib import Path

from fake.images import draw, random_labels, write_image

from polytag.data.miml import CLASSES


def make_miml(root: Path, rows: int = 20, seed: int = 0) -> list[list[str]]:
    """Write `images/`, `miml_labels_1.csv` and `miml_labels_2.csv`; return the labels of each row."""
    labels = random_labels(CLASSES, rows, seed)
    flags, names = ["Filenames," + ",".join(CLASSES)], ["Filenames,labels"]
    for row, has in enumerate(labels):
        file = f"{row + 1}.jpg"
        flags.append(file + "".join(f",{int(name in has)}" for name in CLASSES))
        names.append(f'{file},"{",".join(has)}"' if len(has) > 1 else f"{file},{''.join(has)}")
        size = {"height": 30, "width": 45} if row % 2 else {"height": 45, "width": 30}
        write_image(root / "images" / file, draw(has, CLASSES, seed=row, **size))
    (root / "miml_labels_1.csv").write_text("\n".join(flags) + "\n")
    (root / "miml_labels_2.csv").write_text("\n".join(names) + "\n")
    return labels
