"""Images with their true and predicted labels below."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from polytag.data.label_table import LabelTable
from polytag.inference.scoring import Result
from polytag.tracking.marked_names import labels_below, marked_names
from polytag.tracking.picture_choice import sample_rows
from polytag.tracking.style import DPI, any_script, save, shorten, shorten_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND_COLOURS = {"right": "#00735a", "added": "#b84300", "missed": "#b84300", "unknown": "#5b6472", "file": "#5b6472"}
PLAIN = ("right", "file")  # kinds of words that are not bold


def plot_predictions(result: Result, path: Path, count: int = 12, seed: int = 0, columns: int = 4) -> None:
    """Draw a seeded choice of images with their labels below, see `plot_images`; another seed shows others."""
    plot_images(result, sample_rows(len(result.table), count, seed), path, columns)


def plot_images(result: Result, chosen: npt.NDArray[np.intp], path: Path, columns: int = 4) -> None:
    """Draw some images with their names and labels below: right, wrongly given (+) and missed (−) ones.

    Args:
        result: The predictions.
        chosen: Indexes of the images, at least one.
        path: Where the PNG goes.
        columns: Images side by side.
    """
    table = result.table
    names = [[_file(table, i), *marked_names(table.targets[i], result.decisions[i], table.classes)] for i in chosen]
    legend = [("right", "right"), ("+ wrongly given", "added"), ("\N{MINUS SIGN} missed", "missed")]
    save(draw_grid((table.read(i) for i in chosen), names, legend, columns), path)


def plot_labelled(
    table: LabelTable, path: Path, count: int = 12, seed: int = 0, columns: int = 4, brightness: float = 1.0
) -> None:
    """Draw a seeded choice of images with their names and labels below.

    Args:
        table: At least one image.
        path: Where the PNG goes.
        count: Number of images.
        seed: Another seed shows other images.
        columns: Images side by side.
        brightness: Times the pixel values, cut off at white: for images too dark to see anything in.
    """
    chosen = sample_rows(len(table), count, seed)
    names = [[_file(table, i), *labels_below(table.targets[i], table.classes)] for i in chosen]
    save(draw_grid((brighten(table.read(i), brightness) for i in chosen), names, [], columns), path)


def _file(table: LabelTable, row: np.intp) -> tuple[str, str]:
    return str(table.names[row]), "file"


def brighten(pixels: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Return an image with its values times a factor, at most 255."""
    return np.asarray(np.clip(np.rint(pixels * np.float32(factor)), 0, 255), np.uint8)


def draw_grid(
    images: Iterable[npt.NDArray[np.uint8]],
    names: Sequence[Sequence[tuple[str, str]]],
    legend: Sequence[tuple[str, str]],
    columns: int = 4,
) -> "Figure":
    """Return a figure of images with words below each.

    Args:
        images: ``(H, W, 3)`` RGB each; at least one.
        names: Pairs of a text and its kind for each image, at least one; see `marked_names`. One of kind `file` has a
            line of its own.
        legend: Such pairs that stand above all images.
        columns: Images side by side.
    """
    from matplotlib.figure import Figure

    side, gap, line = 2.1, 0.2, 0.19  # inches
    columns = min(columns, len(names))
    figure = Figure(figsize=(1, 1), dpi=DPI)
    pictures = [resize_to(image, round(side * DPI)) for image in images]
    texts = [_flow(figure, words, side) for words in names]
    rows = [slice(start, start + columns) for start in range(0, len(names), columns)]
    tallest = [max(len(picture) for picture in pictures[row]) / DPI for row in rows]
    lines = [max(words[-1][1] for words in texts[row]) + 1 for row in rows]
    if any(kind == "unknown" for words in names for _, kind in words):
        legend = [*legend, ("? nobody knows", "unknown")]
    width = max(columns * (side + gap) + gap, 3.4)
    height = sum(tallest) + line * sum(lines) + gap * (len(rows) + (2 if legend else 1))
    figure.set_size_inches(width, height)
    _legend(figure, legend, gap, height - 1.2 * gap, width, height)
    top = height - gap * (2 if legend else 1)
    for row, tall, count_lines in zip(rows, tallest, lines, strict=True):
        bottom = top - tall
        for place, (picture, words) in enumerate(zip(pictures[row], texts[row], strict=True)):
            left = gap + place * (side + gap)
            axes = figure.add_axes((left / width, bottom / height, side / width, tall / height), anchor="SW")
            axes.imshow(picture)
            axes.axis("off")
            for x, number, text, kind in words:
                _write(figure, (left + x) / width, (bottom - 0.06 - number * line) / height, text, kind)
        top = bottom - count_lines * line - gap
    return figure


def _write(figure: "Figure", x: float, y: float, text: str, kind: str) -> None:
    figure.text(
        x,
        y,
        text,
        color=KIND_COLOURS[kind],
        fontsize=9.5,
        va="top",
        parse_math=False,
        fontweight="normal" if kind in PLAIN else "bold",
    )


def _legend(
    figure: "Figure", words: Sequence[tuple[str, str]], x: float, y: float, width: float, height: float
) -> None:
    for left, _, text, kind in _flow(figure, words, 10.0, space=0.2):
        _write(figure, (x + left) / width, (y + 0.1) / height, text, kind)


def _flow(
    figure: "Figure", words: Sequence[tuple[str, str]], width: float, space: float = 0.1
) -> list[tuple[float, int, str, str]]:
    """Lay words out in lines of a width in inches: `(x, line, text, kind)` each, matplotlib has no running text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    renderer = FigureCanvasAgg(figure).get_renderer()
    placed, x, line = [], 0.0, 0
    for text, kind in words:
        shown = shorten_path(text, 26) if kind == "file" else shorten(text, 26)
        probe = Text(0, 0, shown, fontsize=9.5, fontweight="normal" if kind in PLAIN else "bold", parse_math=False)
        probe.set_figure(figure)
        with any_script():
            length = probe.get_window_extent(renderer).width / figure.dpi
        if x and x + length > width:
            x, line = 0.0, line + 1
        placed.append((x, line, shown, kind))
        x = width if kind == "file" else x + length + space
    return placed


def resize_to(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Return an ``(H, W, 3)`` image whose longer side has a number of pixels."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(
        cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )
