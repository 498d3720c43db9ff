"""The phases of a training behind curves: shades where groups are frozen, lines and names where the size changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polytag.schedule.recipe import join_names
from polytag.tracking.style import GREY, SHADES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Span:
    """Epochs of one phase that were trained: from the first's start to the last's end."""

    start: int
    end: int
    image_size: str
    frozen: str


def phase_spans(rows: Sequence[Mapping[str, str]]) -> list[Span]:
    """Return the phases of the history in order; where early stopping cut one short, there is a gap behind it."""
    spans: dict[str, Span] = {}
    for row in rows:
        epoch = int(row["epoch"])
        start = spans[row["phase"]].start if row["phase"] in spans else epoch
        spans[row["phase"]] = Span(start, epoch + 1, row["image_size"], row["frozen"])
    return list(spans.values())


def column(rows: Sequence[Mapping[str, str]], name: str) -> npt.NDArray[np.float64]:
    """Return a column of the history; NaN where a row has no value."""
    return np.array([float(row.get(name) or "nan") for row in rows])


def shade(axes: "Axes", spans: Sequence[Span]) -> None:
    """Shade the phases that train only some groups, one shade for each set of frozen groups, if they are few."""
    frozen_sets = list(dict.fromkeys(span.frozen for span in spans if span.frozen))
    are_few = len(frozen_sets) <= len(SHADES)
    named = set()
    for span in spans:
        if span.start and span.image_size != spans[spans.index(span) - 1].image_size:
            axes.axvline(span.start, color=GREY, alpha=0.4, linewidth=1, zorder=0)
        if span.frozen:
            text = f"{join_names(span.frozen.split('+'))} frozen" if are_few else "some groups frozen"
            colour = SHADES[frozen_sets.index(span.frozen)] if are_few else SHADES[0]
            axes.axvspan(
                span.start, span.end, color=colour, linewidth=0, zorder=0, label=None if text in named else text
            )
            named.add(text)


def name_sizes(axes: "Axes", spans: Sequence[Span]) -> None:
    """Write the image size above the epochs that have it."""
    start = 0
    for i, span in enumerate(spans):
        if i + 1 == len(spans) or spans[i + 1].image_size != span.image_size:
            middle = (spans[start].start + span.end) / 2
            axes.annotate(
                f"{span.image_size} px", (middle, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=9
            )
            start = i + 1
