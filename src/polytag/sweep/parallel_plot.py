"""One line a job through the values that it had: where the good ones go."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polytag.sweep.job import PRUNED, Job
from polytag.sweep.options import Objective
from polytag.sweep.override_text import override_text, parse_override
from polytag.sweep.progress import ranked
from polytag.sweep.space import Interval, Space
from polytag.tracking.style import INK, save, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ABSENT = -0.1  # where lines of jobs go that have no such key
LOG_RATIO = 100  # from the lowest to the highest number that an axis is logarithmic from on, if nobody says
SPREAD = 0.025  # how far equal choices are drawn apart
MAX_NAME = 22
MAX_TICKS = 14  # names of choices beside an axis
APART = 0.09  # of round numbers from the ends of an axis: their texts stand beside one another


@dataclass(frozen=True)
class Axis:
    """A key that is varied.

    Attributes:
        key: As in an override.
        names: The choices from the bottom up; empty of numbers.
        low: The lowest number; of choices 0.
        high: The highest.
        is_log: Whether distances are ratios.
        has_gaps: Whether some jobs have no such key.
    """

    key: str
    names: tuple[str, ...]
    low: float
    high: float
    is_log: bool
    has_gaps: bool

    def place(self, value: Any) -> float:
        """Return where a value is, from 0 to 1; below it where there is none."""
        if value is None:
            return ABSENT
        if self.names:
            return self.names.index(str(value)) / max(1, len(self.names) - 1)
        return (self._scaled(float(value)) - self._scaled(self.low)) / (
            self._scaled(self.high) - self._scaled(self.low)
        )

    def ticks(self) -> list[tuple[float, str]]:
        """Return places with their texts."""
        absent = [(ABSENT, "not set")] if self.has_gaps else []
        if self.names:
            step = math.ceil(len(self.names) / MAX_TICKS)
            texts = _cut(self.names[::step])
            return absent + [(self.place(name), text) for name, text in zip(self.names[::step], texts, strict=True)]
        numbers = _round_numbers(self)
        places = [self.place(number) for number in numbers]
        return absent + list(zip(places, _number_texts(numbers), strict=True))

    def _scaled(self, number: float) -> float:
        return math.log10(number) if self.is_log else number


def axes_of(params: Sequence[Mapping[str, Any]], space: Space) -> list[Axis]:
    """Return an axis for each key with several values."""
    keys = dict.fromkeys(key for one in params for key in one)
    axes = [_axis(key, [one.get(key) for one in params], space) for key in keys]
    return [axis for axis in axes if len(axis.names) > 1 or axis.high > axis.low or axis.has_gaps]


def params_of(jobs: Sequence[Job], space: Space) -> list[dict[str, Any]]:
    """Return what was varied of each job: what was drawn for it, and of a list of jobs what differs."""
    if space.jobs == ((),):
        return [dict(job.params) for job in jobs]
    parsed = [{parse_override(text).get_key_element(): text for text in job.overrides} for job in jobs]
    return [
        {key: text.partition("=")[2] for key, text in one.items() if any(text != other.get(key) for other in parsed)}
        | dict(job.params)
        for one, job in zip(parsed, jobs, strict=True)
    ]


def plot_parallel(jobs: Sequence[Job], objective: Objective, space: Space, path: Path) -> None:
    """Write `draw_parallel` as PNG, where there is something to draw."""
    from matplotlib import colormaps

    darker = colormaps["viridis_r"]
    if (figure := draw_parallel(jobs, objective, space, lambda goodness: darker(0.25 + 0.75 * goodness))) is not None:
        pruned = sum(job.state == PRUNED for job in jobs)
        title = f"{len(ranked(jobs, objective))} jobs, the darker the better"
        title += f"; {pruned} pruned in grey" if pruned else ""
        figure.suptitle(title, fontsize=9.5, x=0.01, ha="left", color=INK)
        save(figure, path)


def draw_parallel(
    jobs: Sequence[Job], objective: Objective, space: Space, colour: Callable[[float], Any]
) -> "Figure | None":
    """Return a line a job, the best on top, pruned ones in grey; None where no key or no score differs.

    Args:
        jobs: Of the sweep; those without a score are left out. The line of each is called `run-<number>`.
        objective: What is best.
        space: What is varied.
        colour: Of a line, by how good it is, from 0 to 1.
    """
    from matplotlib.figure import Figure

    done = ranked(jobs, objective)[::-1]
    pruned = [job for job in jobs if job.state == PRUNED]
    params = dict(zip([job.number for job in (*pruned, *done)], params_of([*pruned, *done], space), strict=True))
    axes_list = axes_of(list(params.values()), space)
    scores = [job.values[0] for job in done if job.values]
    if not axes_list or len(set(scores)) < 2:
        return None
    score = Axis(objective.metric, (), min(scores), max(scores), False, False)
    figure = Figure(figsize=(2.0 * len(axes_list) + 2.4, 4.6), layout="constrained")
    axes = figure.subplots()
    for job in pruned:
        places = [axis.place(params[job.number].get(axis.key)) for axis in axes_list]
        axes.plot(range(len(places)), places, color="#d1d5db", linewidth=0.8, zorder=1)
    for rank, job in enumerate(done):
        assert job.values is not None
        shift = SPREAD * (2 * rank / max(1, len(done) - 1) - 1)
        places = [
            axis.place(value := params[job.number].get(axis.key)) + shift * bool(axis.names or value is None)
            for axis in axes_list
        ]
        height = score.place(job.values[0])
        goodness = height if objective.mode == "max" else 1 - height
        is_best = rank == len(done) - 1
        axes.plot(
            range(len(places) + 1),
            [*places, height],
            color=colour(goodness),
            linewidth=2.4 if is_best else 0.8 + 0.8 * goodness,
            alpha=1.0 if is_best else 0.35 + 0.55 * goodness,
            zorder=2 + rank / len(done),
            gid=f"run-{job.number}",
        )
    _draw_axes(axes, [*axes_list, score])
    return figure


def _draw_axes(axes: "Axes", listed: Sequence[Axis]) -> None:
    """Draw an upright line a key, with its name above and its values beside it."""
    for place, axis in enumerate(listed):
        axes.plot([place, place], [ABSENT if axis.has_gaps else 0, 1], color=INK, linewidth=1, zorder=4)
        for height, text in axis.ticks():
            axes.plot([place - 0.02, place], [height] * 2, color=INK, linewidth=1, zorder=4)
            axes.text(
                place + 0.03,
                height,
                text,
                fontsize=8,
                va="center",
                color=INK,
                zorder=5,
                parse_math=False,
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
            )
        axes.text(place, 1.06, _in_lines(axis.key), ha="center", va="bottom", fontsize=8.5, parse_math=False)
    axes.set_xlim(-0.25, len(listed) - 0.55)
    axes.set_ylim(ABSENT - 0.05 if any(axis.has_gaps for axis in listed) else -0.05, 1.05)
    axes.axis("off")


def _in_lines(key: str) -> str:
    """Return a key such that it fits between its neighbours'."""
    node, _, last = key.rpartition(".")
    if len(key) <= MAX_NAME or not node:
        return shorten(key, MAX_NAME)
    return f"{shorten(node, MAX_NAME)}.\n{shorten(last, MAX_NAME)}"


def _axis(key: str, values: Sequence[Any], space: Space) -> Axis:
    there = [value for value in values if value is not None]
    numbers = [value for value in there if isinstance(value, int | float) and not isinstance(value, bool)]
    has_gaps = len(there) < len(values)
    if len(numbers) < len(there):
        return Axis(key, _names(key, there, space), 0, 0, False, has_gaps)
    low, high = min(numbers), max(numbers)
    if low == high:
        return Axis(key, (override_text(low),), 0, 0, False, has_gaps)
    intervals = [one.values for one in space.dimensions if one.key == key and isinstance(one.values, Interval)]
    is_log = low > 0 and (any(one.log for one in intervals) if intervals else high / low >= LOG_RATIO)
    return Axis(key, (), low, high, is_log, has_gaps)


def _names(key: str, there: Sequence[Any], space: Space) -> tuple[str, ...]:
    """Return the texts of a key, numbers in their order, others as they were listed."""
    listed = [
        str(text)
        for one in space.dimensions
        if one.key == key and not isinstance(one.values, Interval)
        for text in one.values.params()
    ]
    seen = {str(value) for value in there}
    texts = [text for text in dict.fromkeys([*listed, *map(str, there)]) if text in seen]
    try:
        return tuple(sorted(texts, key=float))
    except ValueError:
        return tuple(texts)


def _cut(names: Sequence[str]) -> list[str]:
    """Return names that fit beside an axis: without their ends, or, where these tell them apart, their middles."""
    texts = [shorten(name, MAX_NAME) for name in names]
    half = MAX_NAME // 2
    is_alike = len(set(texts)) < len(texts)
    middle_cut = [name if len(name) <= MAX_NAME else f"{name[:half]}…{name[1 - half :]}" for name in names]
    return middle_cut if is_alike else texts


def _number_texts(numbers: Sequence[float]) -> list[str]:
    """Return numbers with as few digits as tell them apart, four or more."""
    listed = ([f"{number:.{digits}g}" for number in numbers] for digits in range(4, 18))
    return next(texts for texts in listed if len(set(texts)) == len(texts))


def _round_numbers(axis: Axis) -> list[float]:
    """Return the ends of an axis, and round numbers between them that are not too near."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = LogLocator(numticks=8) if axis.is_log else MaxNLocator(5, integer=isinstance(axis.low, int))
    inner = [float(number) for number in locator.tick_values(axis.low, axis.high) if axis.low < number < axis.high]
    apart = [number for number in inner if APART < axis.place(number) < 1 - APART]
    return [axis.low, *apart, axis.high]
