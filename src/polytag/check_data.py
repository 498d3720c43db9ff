"""`check-data`: read every image to its end, and say what is wrong with files and labels before a training does."""

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from polytag.commands import command
from polytag.data.images import damage_of
from polytag.data.label_table import UNKNOWN, LabelTable
from polytag.data.statistics import known_counts, label_counts, labels_per_image, shares
from polytag.errors import UserError
from polytag.metrics.label_pairs import true_pairs
from polytag.tracking.console import wide_console

MISSING, BROKEN, DUPLICATE, CONFLICT, MIS_SIZED = "missing", "broken", "duplicate", "conflicting labels", "mis-sized"
SMALLEST_SIDE = 32  # pixels; below, a network that halves the image five times has nothing left
USUAL_SHARE = 0.95  # from this share on, one image size is the rule and the others are exceptions
EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one image."""

    image: str
    problem: str
    detail: str


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        table: The table that was checked.
        problems: In the order of the table, an image's own problems first, then the duplicates.
        sizes: How many readable images have each (width, height) in pixels, as a viewer shows them.
    """

    table: LabelTable
    problems: tuple[Problem, ...]
    sizes: Counter[tuple[int, int]]

    @property
    def has_unreadable(self) -> bool:
        """Whether a training on all of these images would fail."""
        return any(problem.problem in (MISSING, BROKEN) for problem in self.problems)


@dataclass(frozen=True)
class _File:
    """One file, read whole: either its damage, or its hash and size."""

    damage: tuple[str, str] | None = None
    digest: bytes = b""
    size: tuple[int, int] = (0, 0)


@command("check_data")
def main(cfg: DictConfig) -> int:
    """Check the images and labels of a source."""
    return run(cfg)


def run(cfg: DictConfig) -> int:
    """Check the source of a config, print the report and write the problems.

    Returns:
        The exit code: 2 if an image is broken or missing, else 0.

    Raises:
        UserError: The file for the problems exists already.
    """
    from polytag.build import build_source
    from polytag.check_config import check_keys

    check_keys(cfg, "check_data")
    out = Path(cfg.out) if cfg.out is not None else None
    if out is not None and out.exists() and not cfg.overwrite:
        raise UserError(f"out={out} exists already. Choose another name, or set overwrite=true.")
    report = check(build_source(cfg.data), cfg.workers)
    print_report(report, wide_console())
    if out is not None:
        write_problems(report, out)
        count = len(report.problems)
        print(f"{count:,} problem{'s' * (count != 1)} written to {out}")
    return 2 if report.has_unreadable else 0


def check(table: LabelTable, workers: int | None = None) -> Report:
    """Read every image of a table in parallel threads and collect what is wrong."""
    console = Console(stderr=True)
    with ThreadPoolExecutor(max(1, workers) if workers is not None else min(16, 4 * (os.cpu_count() or 1))) as pool:
        read = pool.map(lambda path: _read_whole(path, table), table.paths.tolist())
        files = list(track(read, "reading images", len(table), console=console, disable=not console.is_terminal))
    sizes = Counter(file.size for file in files if file.damage is None)
    problems = [*_own_problems(table, files, sizes), *_duplicates(table, files)]
    return Report(table, tuple(problems), sizes)


def _read_whole(path: str, table: LabelTable) -> _File:
    try:
        content = table.storage.read(path)
    except FileNotFoundError:
        return _File(damage=(MISSING, f"there is no file {table.storage.name(path)}"))
    except OSError as error:
        return _File(damage=(BROKEN, error.strerror or type(error).__name__))
    if damage := damage_of(content):
        return _File(damage=(BROKEN, damage))
    try:
        return _File(digest=hashlib.blake2b(content).digest(), size=_shown_size(content, path, table))
    except UserError as error:  # whole, but not what this source's decoder can turn into RGB
        return _File(damage=(BROKEN, str(error.__cause__)))


def _shown_size(content: bytes, path: str, table: LabelTable) -> tuple[int, int]:
    """Return width and height in pixels with the EXIF orientation applied, as the decoder does."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            on_its_side = image.getexif().get(EXIF_ORIENTATION, 1) >= 5
            return (image.height, image.width) if on_its_side else image.size
    except UnidentifiedImageError:  # a TIFF with more bits or bands than Pillow knows
        height, width = table.decoder.read(path, None, table.storage).shape[:2]
        return width, height


def _own_problems(table: LabelTable, files: Sequence[_File], sizes: Counter[tuple[int, int]]) -> list[Problem]:
    """Return what is wrong with images by themselves: missing, broken, mis-sized."""
    usual, count = sizes.most_common(1)[0] if sizes else ((0, 0), 0)
    is_rule = count >= USUAL_SHARE * sizes.total()
    problems = []
    for name, file in zip(table.names, files, strict=True):
        shown = f"{file.size[0]}x{file.size[1]}"
        if file.damage is not None:
            problems.append(Problem(str(name), *file.damage))
        elif min(file.size) < SMALLEST_SIDE:
            problems.append(Problem(str(name), MIS_SIZED, f"{shown}: a side is shorter than {SMALLEST_SIDE} pixels"))
        elif is_rule and file.size != usual:
            problems.append(Problem(str(name), MIS_SIZED, f"{shown}: nearly all others are {usual[0]}x{usual[1]}"))
    return problems


def _duplicates(table: LabelTable, files: Sequence[_File]) -> list[Problem]:
    """Return the rows whose file has the same bytes as an earlier row's."""
    first_of: dict[bytes, int] = {}
    problems = []
    for row, file in enumerate(files):
        if file.damage is not None:
            continue
        first = first_of.setdefault(file.digest, row)
        if first == row:
            continue
        is_same_path = table.paths[first] == table.paths[row]
        detail = "listed more than once" if is_same_path else f"same content as {table.names[first]}"
        if table.split[first] != table.split[row]:
            detail += f", there in {table.split[first] or 'no split'} and here in {table.split[row] or 'no split'}"
        if (table.targets[first] == table.targets[row]).all():
            problems.append(Problem(str(table.names[row]), DUPLICATE, detail))
        else:
            detail += f", but labelled {_labels(table, row)} and not {_labels(table, first)}"
            problems.append(Problem(str(table.names[row]), CONFLICT, detail))
    return problems


def _labels(table: LabelTable, row: int) -> str:
    names = [table.classes[i] for i in np.flatnonzero(table.positives[row])]
    names += [f"{table.classes[i]}?" for i in np.flatnonzero(table.targets[row] == UNKNOWN)]
    return " ".join(names) or "(nothing)"


def write_problems(report: Report, out: Path) -> None:
    """Write one line a problem; a file with the header only says that there is none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "problem", "detail"])
        writer.writerows((p.image, p.problem, p.detail) for p in report.problems)


def print_report(report: Report, console: Console) -> None:
    """Print the tables of a report."""
    table = report.table
    found = Counter(problem.problem for problem in report.problems)
    kinds = (MISSING, BROKEN, DUPLICATE, CONFLICT, MIS_SIZED)
    rows = [
        (kind, f"{found[kind]:,}", next((p.image for p in report.problems if p.problem == kind), "")) for kind in kinds
    ]
    if found:
        _print_table(console, f"Problems in {len(table):,} images", ("problem", "images", "for example"), rows)
    else:
        console.print(f"{len(table):,} images: no problems")
    total = max(len(table), 1)
    _print_labels(table, console)
    _print_table(
        console,
        "labels an image",
        ("labels", "images", "share"),
        [(str(k), f"{count:,}", f"{count / total:.1%}") for k, count in enumerate(labels_per_image(table)) if count],
    )
    _print_cooccurrence(table, console)
    _print_sizes(report.sizes, console)


def _print_labels(table: LabelTable, console: Console) -> None:
    """Print how many images have each label; where some are unknown, shares are those of the known ones."""
    counts, share, unknown = label_counts(table), shares(table), len(table) - known_counts(table)
    rows = [
        (table.classes[i], f"{counts[i]:,}", "-" if np.isnan(share[i]) else f"{share[i]:.1%}", f"{unknown[i]:,}")
        for i in np.argsort(-counts, kind="stable")
    ]
    columns = ("label", "images", "share", "unknown")[: 4 if unknown.any() else 3]
    _print_table(console, f"{len(table.classes)} labels", columns, [row[: len(columns)] for row in rows])


def _print_cooccurrence(table: LabelTable, console: Console, *, most_classes: int = 20, most_pairs: int = 20) -> None:
    """Print the whole matrix where it is small and fits the width, else the most frequent pairs."""
    matrix = true_pairs(table.targets)
    numbers = [str(i) for i in range(1, len(matrix) + 1)]
    labels = [f"{number} {name}" for number, name in zip(numbers, table.classes, strict=True)]
    width = max(map(len, labels)) + 2 + len(matrix) * (len(str(matrix.max())) + 2)
    if len(matrix) <= most_classes and width <= console.width:
        rows = [(label, *map(str, row)) for label, row in zip(labels, matrix, strict=True)]
        _print_table(console, "images with both labels", ("label", *numbers), rows)
        return
    first, second = np.triu_indices(len(matrix), k=1)
    top = np.argsort(-matrix[first, second], kind="stable")[:most_pairs]
    pairs = [(table.classes[first[i]], table.classes[second[i]], f"{matrix[first[i], second[i]]:,}") for i in top]
    _print_table(
        console, f"images with both labels: the {len(pairs)} most frequent pairs", ("label", "and", "images"), pairs
    )


def _print_sizes(sizes: Counter[tuple[int, int]], console: Console, *, most_sizes: int = 10) -> None:
    rows = [(f"{width} x {height}", f"{count:,}") for (width, height), count in sizes.most_common(most_sizes)]
    if len(sizes) > most_sizes:
        others = sizes.total() - sum(count for _, count in sizes.most_common(most_sizes))
        rows.append((f"{len(sizes) - most_sizes:,} other sizes", f"{others:,}"))
    _print_table(console, "image sizes (width x height in pixels)", ("size", "images"), rows)


def _print_table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        is_number = column in ("images", "share", "unknown") or column.isdigit()
        table.add_column(column, justify="right" if is_number else "left", no_wrap=i == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # a class called [red] is no markup
    console.print(Text(title, style="bold"))
    console.print(table)
    console.print()


if __name__ == "__main__":
    main()
