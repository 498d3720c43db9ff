"""A CSV file in memory, checked for shape: what stands in which column."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polytag.data.files import require_path
from polytag.data.images import SUFFIXES
from polytag.errors import UserError, did_you_mean, first_few


@dataclass(frozen=True)
class Sheet:
    """A CSV file in memory: `lines[i]` is the line of the file on which `rows[i]` ends, for messages."""

    path: Path
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def find(self, column: str, option: str) -> str:
        """Return the column's name if there is such a column; `option` is the config key that asked for it."""
        if column not in self.columns:
            known = ", ".join(name for name in self.columns if name)
            hint = did_you_mean(column, self.columns)
            raise UserError(f"{self.path} has no column {column!r} ({option}); its columns are {known}.{hint}")
        return column

    def first_of(self, candidates: Sequence[str]) -> str | None:
        """Return the first of some names that is a column, or None."""
        return next((name for name in candidates if name in self.columns), None)

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column, without spaces around them."""
        position = self.columns.index(column)
        return [row[position].strip() for row in self.rows]


def read_sheet(path: Path) -> Sheet:
    """Read a CSV file with a header line; commas, semicolons or tabs separate its columns, blank lines are skipped.

    Raises:
        UserError: It is missing, empty, not UTF-8, has no header, or a line has more or fewer cells than the header.
    """
    require_path(path, "label file", "Put it there, or correct data.root and the file's name.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
            columns = [name.strip() for name in next(reader, [])]
            listed = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error, IsADirectoryError) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}. Save it as one.") from error
    _check_shape(path, columns, listed)
    return Sheet(path, columns, [row for _, row in listed], [line for line, _ in listed])


def _check_shape(path: Path, columns: list[str], listed: list[tuple[int, list[str]]]) -> None:
    if not any(columns):
        raise UserError(f"{path} is empty. It needs a header line and one line an image.")
    if columns[0].lower().endswith(SUFFIXES):
        raise UserError(f"{path} starts with an image, {columns[0]}: it needs a header line that names its columns.")
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise UserError(f"{path} has two columns of the same name: {first_few(twice)}. Rename or remove one.")
    for line, row in listed:
        if len(row) != len(columns):
            raise UserError(
                f"{path}, line {line}, has {len(row)} cells where the header has {len(columns)}. "
                "A cell that contains the separator needs double quotes around it."
            )
