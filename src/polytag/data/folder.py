"""A folder of folders: one sub-folder a label; an image that lies in several has several labels."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from polytag.data.files import list_images, require_path
from polytag.data.images import SUFFIXES
from polytag.data.label_table import TEST, TRAIN, UNASSIGNED, VAL, LabelTable, make_table
from polytag.errors import UserError, first_few

log = logging.getLogger(__name__)

NO_LABEL = "none"
SPLIT_FOLDERS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
LAYOUT = (
    f"The layout is <root>/<label>/image.jpg, one sub-folder a label and `{NO_LABEL}` for images without any; "
    "or the same inside <root>/train/ and <root>/val/."
)


def read_folder(root: str, classes: Sequence[str] | None = None) -> LabelTable:
    """Read labels from the names of sub-folders; a file's content says whether it is the same image.

    Raises:
        UserError: No sub-folder holds an image, or an image lies in `none` and under a label.
    """
    base = require_path(Path(root).expanduser(), "folder", f"Correct data.root. {LAYOUT}")
    found = [(file, label, part) for label, part, folder in _label_folders(base) for file in _images(base, folder)]
    if loose := sorted(f.name for f in base.iterdir() if f.is_file() and f.name.lower().endswith(SUFFIXES)):
        log.warning("%d images lie beside the sub-folders and are left out: %s", len(loose), first_few(loose))
    if not found:
        raise UserError(f"{base} has no sub-folder with images. {LAYOUT}")
    rows: dict[tuple[str, str], list[tuple[str, str]]] = {}
    contents = _contents(base, [file for file, _, _ in found])
    for (file, label, part), content in zip(found, contents, strict=True):
        rows.setdefault((part, content), []).append((file, label))
    _warn_of_leaks(list(rows))
    return make_table(
        base,
        [copies[0][0] for copies in rows.values()],
        [_labels(copies) for copies in rows.values()],
        classes=classes,
        split=[part for part, _ in rows],
        hint=f"Put the files back. {LAYOUT}",
        origin=str(base),
    )


def _label_folders(base: Path) -> list[tuple[str, str, Path]]:
    """Return label, split and folder of each label's folder, sorted."""
    tops = _sub_folders(base)
    names = {folder.name for folder in tops}
    if len(names) > 1 and "train" in names and names <= set(SPLIT_FOLDERS):
        return [(folder.name, SPLIT_FOLDERS[top.name], folder) for top in tops for folder in _sub_folders(top)]
    return [(folder.name, UNASSIGNED, folder) for folder in tops]


def _sub_folders(base: Path) -> list[Path]:
    return sorted(entry for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(base: Path, folder: Path) -> list[str]:
    return [(folder.relative_to(base) / file).as_posix() for file in list_images(folder)]


def _contents(base: Path, files: Sequence[str]) -> list[str]:
    """Return a key of each file's content; only files that share their size are read.

    Empty files are no image: each keeps its own key, and the check for broken files reports them.
    """
    sizes = [os.path.getsize(base / file) if os.path.isfile(base / file) else 0 for file in files]
    count = Counter(sizes)
    return [_digest(base / file) if size and count[size] > 1 else file for file, size in zip(files, sizes, strict=True)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _labels(copies: Sequence[tuple[str, str]]) -> list[str]:
    labels = sorted({label for _, label in copies})
    if NO_LABEL in labels and len(labels) > 1:
        files = {label: file for file, label in copies}
        other = next(label for label in labels if label != NO_LABEL)
        raise UserError(
            f"The same image lies in `{NO_LABEL}` and under a label: {files[NO_LABEL]} and {files[other]}. Remove one."
        )
    return [label for label in labels if label != NO_LABEL]


def _warn_of_leaks(keys: Sequence[tuple[str, str]]) -> None:
    count = Counter(content for _, content in keys)
    if leaks := sum(1 for copies in count.values() if copies > 1):
        log.warning("%d images lie in more than one of train, val and test: scores will look too good.", leaks)
