"""Any CSV of images: a column of tags, or one 0/1 column a class. Other sources whose labels are a CSV use it too."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from polytag.data.files import list_images, require_path
from polytag.data.images import SUFFIXES
from polytag.data.label_table import ABSENT, PRESENT, TEST, TRAIN, UNASSIGNED, UNKNOWN, VAL, LabelTable, make_table
from polytag.data.sheet import Sheet, read_sheet
from polytag.errors import UserError, did_you_mean, first_few

log = logging.getLogger(__name__)

TAG_COLUMNS = ("tags", "labels", "label")
OTHER_SEPARATORS = ("|", ";", ",")  # in labels, where data.separator is another one
SPLIT_COLUMNS = ("is_valid", "split")
SPLIT_WORDS = {
    **dict.fromkeys(("false", "0", "train"), TRAIN),
    **dict.fromkeys(("true", "1", "val", "valid", "validation"), VAL),
    "test": TEST,
}
# "1.0" is what pandas makes of a 0/1 column once a cell of it has been empty.
FLAGS = {
    **dict.fromkeys(("1", "1.0"), PRESENT),
    **dict.fromkeys(("0", "0.0"), ABSENT),
    **dict.fromkeys(("", "-1", "-1.0"), UNKNOWN),
}


class Marks(NamedTuple):
    """What a source says of one image: the labels that it has, and those of which nobody knows."""

    labels: list[str]
    unknown: list[str]


def read_csv(
    root: str,
    file: str = "labels.csv",
    images: str = ".",
    image_column: str | None = None,
    label_column: str | None = None,
    separator: str = " ",
    suffix: str = "",
    classes: Sequence[str] | None = None,
    split_column: str | None = None,
) -> LabelTable:
    """Read a label table from a CSV file. `conf/data/csv.yaml` says what each argument means.

    Raises:
        UserError: A file or column is missing, a cell cannot be read, or an image is listed twice in two ways.
    """
    folder = require_path(Path(root).expanduser(), "folder", "Correct data.root.")
    sheet = read_sheet(folder / file)
    image = _image_column(sheet, image_column)
    parts = sheet.find(split_column, "data.split_column") if split_column else sheet.first_of(SPLIT_COLUMNS)
    tags = sheet.find(label_column, "data.label_column") if label_column else sheet.first_of(TAG_COLUMNS)
    if not tags:
        classes = _flag_columns(sheet, classes, {image, parts})
    if tags:
        marks = [Marks(split_tags(cell, separator), []) for cell in sheet.cells(tags)]
        _warn_of_other_separators(marks)
    else:
        marks = _read_flags(sheet, classes or [])
    files = add_suffixes(folder / images, _read_names(sheet, image), suffix)
    split = _read_split(sheet, parts) if parts else [UNASSIGNED] * len(files)
    files, marks, split = merge_duplicates(files, marks, split, str(sheet.path))
    labels, unknown = [row.labels for row in marks], [row.unknown for row in marks]
    origin = str(sheet.path)
    return make_table(folder / images, files, labels, unknown=unknown, classes=classes, split=split, origin=origin)


def _warn_of_other_separators(marks: Sequence[Marks]) -> None:
    """Say so where no image has two labels, and labels look like several in one."""
    if any(len(row.labels) > 1 for row in marks):
        return
    labels = dict.fromkeys(label for row in marks for label in row.labels)
    for mark in OTHER_SEPARATORS:
        if joined := next((label for label in labels if mark in label), None):
            log.warning(f"No image has two labels, but {joined!r} may be several: if so, data.separator='{mark}'.")
            return


def split_tags(cell: str, separator: str = " ") -> list[str]:
    """Cut a cell into labels; a space as separator stands for any run of white space."""
    if not separator:
        raise UserError("data.separator is empty: name the character between two labels of a cell, such as ' ' or ','.")
    words = cell.split(None if separator == " " else separator)
    return [word.strip() for word in words if word.strip()]


def add_suffixes(folder: Path, names: Sequence[str], suffix: str = "") -> list[str]:
    """Complete image names that have no image suffix: by the given one, else by the file of that stem in the folder.

    Raises:
        UserError: The suffix is none of an image, or two files share a wanted stem.
    """
    if suffix and not suffix.lower().endswith(SUFFIXES):
        raise UserError(f"data.suffix={suffix} is no suffix of an image.{did_you_mean(suffix, SUFFIXES)}")
    bare = [not name.lower().endswith(SUFFIXES) for name in names]
    if suffix:
        return [name + suffix if is_bare else name for name, is_bare in zip(names, bare, strict=True)]
    if not any(bare) or not folder.is_dir():
        return list(names)
    by_stem: dict[str, list[str]] = {}
    for file in list_images(folder):
        by_stem.setdefault(os.path.splitext(file)[0], []).append(file)
    found = [by_stem.get(name, [name]) if is_bare else [name] for name, is_bare in zip(names, bare, strict=True)]
    if several := next((files for files in found if len(files) > 1), None):
        raise UserError(f"{folder} has {first_few(several)}: say with data.suffix which one the label file means.")
    return [files[0] for files in found]


def merge_duplicates(
    files: list[str], marks: list[Marks], split: list[str], origin: str
) -> tuple[list[str], list[Marks], list[str]]:
    """Keep one row of each image that is listed several times in the same way.

    Raises:
        UserError: An image is listed with two different sets of labels, or in two splits.
    """
    kept: dict[str, tuple[Marks, str]] = {}
    for file, row, part in zip(files, marks, split, strict=True):
        other, other_part = kept.setdefault(file, (row, part))
        if [set(names) for names in other] != [set(names) for names in row] or other_part != part:
            one, two = _describe(other, other_part), _describe(row, part)
            raise UserError(f"{origin} lists {file} twice, as {one} and as {two}. Keep one of them.")
    if len(kept) < len(files):
        log.warning("%s lists %d images more than once, in the same way: once is kept.", origin, len(files) - len(kept))
    return list(kept), [row for row, _ in kept.values()], [part for _, part in kept.values()]


def _describe(marks: Marks, part: str) -> str:
    names = sorted(marks.labels) + [f"{name}?" for name in sorted(marks.unknown)]
    return (", ".join(names) or "no label") + (f" ({part})" if part else "")


def _image_column(sheet: Sheet, wanted: str | None) -> str:
    if wanted:
        return sheet.find(wanted, "data.image_column")
    first = next(name for name in sheet.columns if name)
    if first in TAG_COLUMNS + SPLIT_COLUMNS:
        raise UserError(
            f"{sheet.path} starts with the column {first!r}: say with data.image_column which names images."
        )
    return first


def _read_names(sheet: Sheet, column: str) -> list[str]:
    names = sheet.cells(column)
    if "" in names:
        line = sheet.lines[names.index("")]
        raise UserError(f"{sheet.path}, line {line}: the column {column!r} names no image. Fill or remove the line.")
    return [os.path.normpath(name) for name in names]


def _read_split(sheet: Sheet, column: str) -> list[str]:
    cells = [cell.lower() for cell in sheet.cells(column)]
    for cell, line in zip(cells, sheet.lines, strict=True):
        if cell not in SPLIT_WORDS:
            raise UserError(
                f"{sheet.path}, line {line}: the column {column!r} has {cell!r}. "
                "It takes true or false (is it for validation?), or train, val, test."
            )
    return [SPLIT_WORDS[cell] for cell in cells]


def _flag_columns(sheet: Sheet, classes: Sequence[str] | None, taken: set[str | None]) -> list[str]:
    """Return the 0/1 columns. One without a name is the row number that pandas writes, not a class."""
    if classes is not None:
        return [sheet.find(str(name), "data.classes") for name in classes]
    columns = [name for name in sheet.columns if name and name not in taken]
    if not columns:
        known = ", ".join(TAG_COLUMNS)
        raise UserError(f"{sheet.path} has no column of labels: neither one of {known}, nor 0/1 columns.")
    return columns


def _read_flags(sheet: Sheet, columns: Sequence[str]) -> list[Marks]:
    marks = [Marks([], []) for _ in sheet.rows]
    for column in columns:
        for row, cell in enumerate(sheet.cells(column)):
            if cell not in FLAGS:
                raise UserError(
                    f"{sheet.path}, line {sheet.lines[row]}: the column {column!r} has {cell!r}, not 0 or 1 (empty or "
                    "-1: unknown). Name the column of tags with data.label_column, or the 0/1 columns that are classes "
                    "with data.classes."
                )
            if FLAGS[cell] == PRESENT:
                marks[row].labels.append(column)
            elif FLAGS[cell] == UNKNOWN:
                marks[row].unknown.append(column)
    return marks
