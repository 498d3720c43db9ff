"""An image, and beside it once for each label where the network sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polytag.tracking.attention_plot import draw_panel, draw_scale, write_text
from polytag.tracking.picture_grid import resize_to
from polytag.tracking.style import DPI, GREY, INK, save, shorten

Pixels = npt.NDArray[np.uint8]

SIDE, GAP, TITLE, LEGEND = 2.6, 0.12, 0.26, 0.34  # inches
NARROWEST = 1.3  # inches, for the name above an image
COLUMNS = 4  # images side by side: about the width of a screen


@dataclass(frozen=True)
class Overlay:
    """What to show of one label.

    Attributes:
        name: Of the label.
        probability: Its probability.
        is_predicted: Whether the image gets it.
        pixels: ``(H, W, 3)`` the image with the map over it.
    """

    name: str
    probability: float
    is_predicted: bool
    pixels: Pixels


def plot_overlays(pixels: Pixels, overlays: Sequence[Overlay], path: Path) -> None:
    """Draw an ``(H, W, 3)`` image and its overlays in rows; the names of predicted labels are bold.

    Args:
        pixels: The image.
        overlays: Of the labels, in their order.
        path: Where the PNG goes.
    """
    from matplotlib.figure import Figure

    panels = [resize_to(one, round(SIDE * DPI)) for one in (pixels, *(overlay.pixels for overlay in overlays))]
    wide, tall = panels[0].shape[1] / DPI, panels[0].shape[0] / DPI
    step = max(wide, NARROWEST) + GAP
    columns = min(max(1, round(COLUMNS * SIDE / step)), len(panels))
    rows = -(-len(panels) // columns)
    height = rows * (TITLE + tall) + (rows - 1) * GAP + LEGEND
    figure = Figure(figsize=(max(columns * step + GAP, 2.9), height), dpi=DPI)
    for number, panel in enumerate(panels):
        left, bottom = GAP + number % columns * step, height - (number // columns + 1) * (TITLE + tall + GAP) + GAP
        draw_panel(figure, (left, bottom, wide, tall), panel)
        if number:
            one = overlays[number - 1]
            text = f"{shorten(one.name, round(11 * step) - 6)} {one.probability:.2f}"
            style = (INK, "bold") if one.is_predicted else (GREY, "normal")
            write_text(figure, left, bottom + tall + 0.08, text, *style)
    draw_scale(figure, GAP, 0.12, "speaks for the label: 0", 1.36)
    save(figure, path)
