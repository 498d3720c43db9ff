"""An image as validation sees it, and beside it as training does, again and again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polytag.tracking.attention_plot import draw_panel, write_text
from polytag.tracking.style import INK, save

Pixels = npt.NDArray[np.uint8]

SIDE, GAP, TITLE = 1.5, 0.08, 0.3  # inches
COLUMNS = 5


def plot_augmentations(fixed: Pixels, views: Sequence[Pixels], title: str, path: Path) -> None:
    """Draw an image in the corner, as large as four of its augmentations, and these around it in rows.

    Args:
        fixed: ``(S, S, 3)`` as validation sees it.
        views: ``(S, S, 3)`` each; 16 fill a square but for one row.
        title: What they are, in one line.
        path: Where the PNG goes.
    """
    from matplotlib.figure import Figure

    step, rows = SIDE + GAP, -(-(len(views) + 4) // COLUMNS)
    height = rows * step + GAP + TITLE
    figure = Figure(figsize=(COLUMNS * step + GAP, height))
    write_text(figure, GAP, height - 0.22, title, INK)
    top = height - TITLE
    draw_panel(figure, (GAP, top - 2 * SIDE - GAP, 2 * SIDE + GAP, 2 * SIDE + GAP), fixed)
    cells = ((row, column) for row in range(rows) for column in range(COLUMNS) if row > 1 or column > 1)
    for view, (row, column) in zip(views, cells, strict=False):
        draw_panel(figure, (GAP + column * step, top - row * step - SIDE, SIDE, SIDE), view)
    save(figure, path)
