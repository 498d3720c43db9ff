"""What a terminal shows of a training: a table with one row an epoch, and below it two lines about the running one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from polytag.schedule.recipe import Recipe
from polytag.schedule.time_left import TimeLeft
from polytag.tracking.console import duration

STOPPING = "Stopping after this batch, or after the validation; Ctrl-C again stops at once."
LEAST_WIDTH = 70  # characters, below which the time left of the whole training is not shown
EMPTY, FULL = "bright_black", "green"  # the terminal's own colours, which suit its background


@dataclass
class TrainingBar:
    """The running epoch. A thread may draw it at any time: it holds plain numbers only.

    Attributes:
        recipe: The phases.
        metric: Name of the monitored metric.
        epoch: Counted from 0.
        validates: Whether the batches are those of the validation.
        done: Batches that are done.
        batches: How many there are; 0 before the first.
        loss: Of a batch just now.
        score: The metric after the last epoch.
        images_per_second: In this epoch.
        epoch_left: Time to the end of the epoch.
        all_left: Time to the end of the training.
        is_stopping: Whether Ctrl-C was pressed.
    """

    recipe: Recipe
    metric: str
    epoch: int = 0
    validates: bool = False
    done: int = 0
    batches: int = 0
    loss: float | None = None
    score: float | None = None
    images_per_second: float | None = None
    epoch_left: TimeLeft | None = None
    all_left: TimeLeft | None = None
    is_stopping: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Draw it, no line wider than the terminal."""
        yield self._progress(options.max_width)
        yield fitting(self._numbers(), options.max_width)
        if self.is_stopping:
            yield Text(STOPPING, style="bold", no_wrap=True, overflow="ellipsis")

    def _progress(self, width: int) -> Table:
        line = Table.grid(padding=(0, 1, 0, 0), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True)
        bar = ProgressBar(max(1, self.batches), self.done, style=EMPTY, complete_style=FULL, finished_style=FULL)
        name = Text(f"epoch {self.epoch + 1}/{self.recipe.epochs}", style="bold")
        if self.validates:
            name.append(" validating", style="not bold")
        line.add_row(name, bar, f"{self.done}/{self.batches}" if self.batches else "starting", self._left(width))
        return line

    def _left(self, width: int) -> str:
        if self.epoch_left is None:
            return ""
        is_last = self.epoch + 1 == self.recipe.epochs
        whole = "" if self.all_left is None or is_last or width < LEAST_WIDTH else f", all {self.all_left}"
        return f"· epoch {self.epoch_left} left{whole}"

    def _numbers(self) -> list[str]:
        phase = self.recipe.phase_at(self.epoch)
        parts = [
            f"phase {self.recipe.index_at(self.epoch)}",
            f"{phase.image_size} px",
            "" if self.loss is None else f"loss {self.loss:.4f}",
            "" if self.score is None else f"{self.metric} {self.score:.4f}",
            "" if self.images_per_second is None else f"{self.images_per_second:,.0f} images/s",
            phase.trained,
        ]
        return [part for part in parts if part]


def fitting(parts: Sequence[str], width: int) -> Text:
    """Return as many of the first parts as fit on a line."""
    kept = list(parts)
    while len(kept) > 1 and len(" · ".join(kept)) > width:
        kept.pop()
    return Text(" · ".join(kept), no_wrap=True, overflow="ellipsis")


class EpochTable:
    """The table of epochs, row by row, because the rows come one at a time.

    Args:
        recipe: The phases.
        names: The columns of scores.
        width: Characters; the last columns that do not fit are left out.
    """

    def __init__(self, recipe: Recipe, names: Sequence[str], width: int) -> None:
        self.recipe, self.names = recipe, names
        widest = {"epoch": f"{recipe.epochs}/{recipe.epochs}", "phase": "", "pixels": ""}
        widest |= dict.fromkeys(names, "0.0000") | {"images/s": "", "time": "59.9 s"}
        self._widths = {name: max(len(name), len(sample)) for name, sample in widest.items()}
        while len(self.head) > width and len(self._widths) > 1:
            self._widths.popitem()

    @property
    def head(self) -> str:
        """The names of the columns."""
        return self._line({name: name for name in self._widths})

    def row(self, epoch: int, scores: Mapping[str, float], images_per_second: float, seconds: float) -> str:
        """Return the row of an epoch, counted from 0; a dash where a score is missing."""
        cells = {
            "epoch": f"{epoch + 1}/{self.recipe.epochs}",
            "phase": str(self.recipe.index_at(epoch)),
            "pixels": str(self.recipe.phase_at(epoch).image_size),
            **{name: f"{scores[name]:.4f}" if name in scores else "-" for name in self.names},
            "images/s": f"{images_per_second:,.0f}",
            "time": duration(seconds),
        }
        return self._line(cells)

    def _line(self, cells: Mapping[str, object]) -> str:
        return "  ".join(str(cells[name]).rjust(width) for name, width in self._widths.items())
