"""Where a network looks for its labels: images, and maps of the head's attention over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch

from polytag.data.label_table import ABSENT, PRESENT, UNKNOWN
from polytag.inference.scoring import Result
from polytag.tracking.picture_choice import sample_rows
from polytag.tracking.picture_grid import KIND_COLOURS
from polytag.tracking.style import GREY, INK, save, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from polytag.data.transforms import Transforms
    from polytag.models.network import Network

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, bottom, width, height, in inches

HEAT = "inferno"  # from dark to light, for any colour vision
SIDE, GAP, TITLE, LEGEND = 1.75, 0.08, 0.24, 0.36  # inches
MARKS = {"right": "", "added": "+", "missed": "\N{MINUS SIGN}", "unknown": "?", "neither": ""}


@dataclass(frozen=True)
class Map:
    """Where the network looks for one label of an image.

    Attributes:
        text: The label's name, with its mark, and its probability.
        kind: `right`, `added` (predicted but not true), `missed` (true but not predicted), `unknown`
            (predicted, and nobody knows) or `neither`.
        attention: ``(H, W)`` weights of sum 1.
    """

    text: str
    kind: str
    attention: npt.NDArray[np.float32]


def plot_attention(
    network: "Network",
    transforms: "Transforms",
    image_size: int,
    result: Result,
    path: Path,
    count: int = 8,
    maps: int = 3,
    seed: int = 0,
) -> None:
    """Draw a seeded choice of images as the network sees them, each with the attention for some labels.

    These are the true and the predicted ones, and then the likeliest others, in the order of their probability. A map
    is coloured from 0 to its own largest weight.

    Args:
        network: A network whose head has attention.
        transforms: Prepare the images.
        image_size: Side in pixels that they are prepared at.
        result: At least one image, and the probabilities. Images with a label are chosen where there are any.
        path: Where the PNG goes.
        count: Number of images.
        maps: Labels of each image.
        seed: Another seed shows other images.

    Raises:
        UserError: The network has no attention, or no map of it.
    """
    from matplotlib.figure import Figure

    labelled = np.flatnonzero(result.table.positives.any(1))
    candidates = labelled if len(labelled) else np.arange(len(result.table))
    rows = candidates[sample_rows(len(candidates), count, seed)]
    pictures = [_prepared(result, int(row), transforms, image_size) for row in rows]
    attention = _attention(network, pictures)
    drawn = [_maps(result, int(row), attention[i], maps) for i, row in enumerate(rows)]
    block = (1 + len(drawn[0])) * (SIDE + GAP) + 2 * GAP
    across = max(1, min(len(rows), round(14 / block)))  # images side by side: about the width of a screen
    down = -(-len(rows) // across)
    figure = Figure(figsize=(max(across * block + GAP, 5.2), down * (SIDE + TITLE + GAP) + LEGEND))
    _draw_legend(figure)
    for i, (picture, beside) in enumerate(zip(pictures, drawn, strict=True)):
        left = 2 * GAP + i % across * block
        bottom = figure.get_figheight() - LEGEND - (i // across + 1) * (SIDE + TITLE + GAP) + GAP
        _draw_image(figure, picture, beside, left, bottom)
    save(figure, path)


def _prepared(result: Result, row: int, transforms: "Transforms", image_size: int) -> Pixels:
    """Return an image as the network sees it, ``(S, S, 3)``."""
    pixels = result.table.read(row, transforms.presized(image_size))
    return transforms.evaluation(image_size)(pixels)


def _attention(network: "Network", pictures: Sequence[Pixels]) -> npt.NDArray[np.float32]:
    """Return the maps ``(N, L, H, W)``, on the device where the network is."""
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(network.mean.device)
    return network.attention(images).cpu().numpy()


def _maps(result: Result, row: int, attention: npt.NDArray[np.float32], count: int) -> list[Map]:
    """Return the maps of the labels to show of an image, of the ``(L, H, W)`` ones of all labels."""
    probabilities, targets, chosen = result.probabilities[row], result.table.targets[row], result.decisions[row]
    matters = (targets == PRESENT) | chosen
    first = np.lexsort((-probabilities, ~matters))[:count]
    shown = first[np.argsort(-probabilities[first], kind="stable")]
    kinds = [_kind(int(targets[i]), bool(chosen[i])) for i in shown]
    return [
        Map(f"{MARKS[kind]}{shorten(result.table.classes[i], 18)} {probabilities[i]:.2f}", kind, attention[i])
        for i, kind in zip(shown, kinds, strict=True)
    ]


def _kind(target: int, is_chosen: bool) -> str:
    """Return what became of a label."""
    if not is_chosen:
        return "missed" if target == PRESENT else "neither"
    return {PRESENT: "right", ABSENT: "added", UNKNOWN: "unknown"}[target]


def _draw_image(figure: "Figure", picture: Pixels, maps: Sequence[Map], left: float, bottom: float) -> None:
    """Draw an image and its maps in a row."""
    side = picture.shape[0]
    draw_panel(figure, (left, bottom, SIDE, SIDE), picture)
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None]
    for place, one in enumerate(maps, 1):
        x = left + place * (SIDE + GAP)
        draw_panel(figure, (x, bottom, SIDE, SIDE), overlay(grey, enlarge(one.attention, side)))
        bold, colour = ("bold" if one.kind in ("added", "missed") else "normal"), KIND_COLOURS.get(one.kind, GREY)
        write_text(figure, x, bottom + SIDE + 0.06, one.text, colour, bold)


def enlarge(attention: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """Return an ``(H, W)`` map at the size of the image, as a share of its largest value there."""
    large = cv2.resize(attention, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large / large.max(), np.float32)


def overlay(grey: Pixels, heat: npt.NDArray[np.float32]) -> Pixels:
    """Return ``(S, S, 3)`` pixels: a map of ``(S, S)`` values from 0 to 1, in colours over an ``(S, S, 1)`` image."""
    from matplotlib import colormaps

    colours = colormaps[HEAT](heat)[:, :, :3]
    return np.asarray(np.rint(0.45 * grey + 0.55 * 255 * colours), np.uint8)


def draw_panel(figure: "Figure", box: Box, pixels: Pixels) -> None:
    """Draw pixels into a box of a figure."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    axes.imshow(pixels, aspect="auto")
    axes.axis("off")


def write_text(figure: "Figure", x: float, y: float, text: str, colour: str, weight: str = "normal") -> None:
    """Write a text that begins at a place in inches."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, color=colour, fontsize=8.5, fontweight=weight, parse_math=False)


def _draw_legend(figure: "Figure") -> None:
    """Say above all images what the names and the colours mean."""
    y, x = figure.get_figheight() - 0.24, 2 * GAP
    words = (("right", "right", 0.5), ("+wrongly given", "added", 1.3), (f"{MARKS['missed']}missed", "missed", 0.85))
    for text, kind, width in words:
        write_text(figure, x, y, text, KIND_COLOURS[kind], "normal" if kind == "right" else "bold")
        x += width
    write_text(figure, x, y, "neither", GREY)
    draw_scale(figure, x + 0.75, y, "attention: 0", 0.77)


def draw_scale(figure: "Figure", x: float, y: float, least: str, width: float) -> None:
    """Say what the colours of maps mean, at a place in inches; `least`, of a width, is what the darkest is."""
    write_text(figure, x, y, least, INK)
    shades = np.repeat(np.linspace(0, 1, 128, dtype=np.float32)[None], 8, axis=0)
    draw_panel(figure, (x + width, y - 0.02, 0.6, 0.13), overlay(np.full((8, 128, 1), 150, np.uint8), shades))
    write_text(figure, x + width + 0.65, y, "its largest", INK)
