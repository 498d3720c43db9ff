"""How our pictures look: colours, axes without what carries no data, saving."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polytag.errors import UserError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

log = logging.getLogger(__name__)

# Okabe and Ito's colours, which people with any colour vision tell apart: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#6b7280"
INK, GRID = "#374151", "#e5e7eb"
SHADES = ("#e5e9f0", "#f3ead7", "#e3efe6")  # behind the phases of a training
DPI = 150


def shorten(text: str, length: int) -> str:
    """Return the text, cut to a length with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def shorten_path(text: str, length: int) -> str:
    """Return the text, or its end behind an ellipsis: names of files differ there."""
    return text if len(text) <= length else "…" + text[1 - length :]


def group_colours(count: int) -> list[str]:
    """Return a colour a layer group, the head's always the same; for more than five, shades from dark to light."""
    if count <= 5:
        return [GREY, RED, GREEN, ORANGE, BLUE][-count:]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](0.85 * i / (count - 1))) for i in range(count)]


def clean(axes: "Axes", grid: Literal["x", "y"] = "y") -> None:
    """Take away what carries no data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5)


def legend_beside(axes: "Axes", lines: Sequence["Artist"] | None = None, names: Sequence[str] | None = None) -> None:
    """Name the lines where no line runs: all that have a label, or the given ones."""
    given = {} if lines is None or names is None else {"handles": lines, "labels": names}
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1), labelspacing=0.3, **given)


@contextmanager
def left_out_if_it_fails(what: str) -> Iterator[None]:
    """Warn where something that is only looked at cannot be made: no reason to lose the end of a run."""
    try:
        yield
    except Exception as error:  # of any library that draws, or of the disk
        reason = str(error) if isinstance(error, UserError) else f"({type(error).__name__}: {error})"
        log.warning(f"{what} is left out. {reason}")
        log.debug("Why:", exc_info=True)


@contextmanager
def any_script() -> Iterator[None]:
    """Draw a box for a letter that the font lacks, without filling the terminal with warnings about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with any_script():
        figure.savefig(path, dpi=DPI, facecolor="white")


def as_image(figure: "Figure") -> "Image":
    """Return a figure as an image, which a notebook shows."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    with any_script():
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return Image.open(buffer)
