"""The leaderboard in a terminal."""

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from polytag.comparison.leaderboard import Leaderboard
from polytag.comparison.row import Row
from polytag.comparison.settings import NOTHING, groups_that_vary_together, short_names, text_of
from polytag.errors import first_few
from polytag.tracking.console import duration, wide_console
from polytag.tracking.style import shorten

MAX_ROWS = 30
MAX_OTHERS = 10
NARROW = 100  # columns; a narrower window has no speed and no time
LEAST_FOR_SETTINGS = 12
PRECOMPUTED = "* recipe.precompute=true: the frozen network ran only once, so images/s says nothing beside other runs."


def print_leaderboard(board: Leaderboard) -> None:
    """Print the best runs, one a line, and below them what is broken or not finished."""
    console = wide_console()
    if board.rows:
        console.print(_table(board, console.width))
    if len(board.rows) > MAX_ROWS:
        console.print(f"{len(board.rows) - MAX_ROWS:,} more runs are in the page.")
    for note in notes_of(board):
        if note != PRECOMPUTED or console.width >= NARROW:
            console.print(Text(note))
    reasons: dict[str, list[str]] = {}
    for row in board.others:
        reasons.setdefault(row.broken, []).append(row.name)
    troubles = [f"{first_few(names)}: {reason}" for reason, names in reasons.items()]
    remarks = [f"{row.name}: {remark}" for row in board.rows for remark in row.remarks]
    for title, count, lines in (
        ("Not in the leaderboard", len(board.others), troubles),
        ("Not whole", len(remarks), remarks),
    ):
        if lines:
            console.print(f"{title} ({count}):")
            for line in lines[:MAX_OTHERS]:
                console.print(Text(f"  {line}"), soft_wrap=True)
        if len(lines) > MAX_OTHERS:
            console.print(f"  and {len(lines) - MAX_OTHERS:,} more, which are in the page.")


def settings_text(board: Leaderboard, place: int) -> str:
    """Return in which settings the run at a place is unlike most others, those of the data last: `lr=0.1 limit=60`."""
    names = short_names(list(board.settings))
    keys = sorted(groups_that_vary_together(board.settings), key=lambda key: key.startswith("data."))
    shown = {}
    for key in keys:
        values = list(map(repr, board.settings[key]))
        if 2 * values.count(values[place]) <= len(values) and board.settings[key][place] is not NOTHING:
            shown[names[key]] = text_of(board.settings[key][place])
    return " ".join(f"{name}={text}" for name, text in shown.items()) or "-"


def score_text(value: float) -> str:
    """Return a score; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def epochs_text(row: Row) -> str:
    """Return the best epoch of all epochs."""
    return f"{'-' if row.epoch is None else row.epoch}/{row.epochs or '-'}"


def speed_text(row: Row) -> str:
    """Return training images a second, marked where features were precomputed; a dash where they are not known."""
    return "-" if math.isnan(row.speed) else f"{row.speed:,.0f}{'*' * row.precomputes}"


def notes_of(board: Leaderboard) -> list[str]:
    """Return what to know of the order and the columns of a leaderboard."""
    precomputed = any(row.precomputes and not math.isnan(row.speed) for row in board.rows)
    return [note for note in (board.note, board.loss_note, PRECOMPUTED if precomputed else "") if note]


def time_text(row: Row) -> str:
    """Return how long the training took; a dash where it is not known."""
    return "-" if math.isnan(row.seconds) else duration(row.seconds)


def _table(board: Leaderboard, width: int) -> Table:
    shown = board.rows[:MAX_ROWS]
    columns: dict[str, Sequence[str]] = {"": [str(place) for place in range(1, len(shown) + 1)]}
    columns |= {"run": [row.name for row in shown]}
    columns |= {name: [score_text(row.scores.get(name, math.nan)) for row in shown] for name in board.columns}
    columns |= {"best\nepoch": [epochs_text(row) for row in shown]}
    if width >= NARROW:
        columns |= {"images/s": [speed_text(row) for row in shown], "time": [time_text(row) for row in shown]}
    where = f" below {board.folder}" if board.folder else ""
    runs = f"{len(board.rows):,} finished run{'s' * (len(board.rows) != 1)}{where}"
    title = Text(f"{runs} at their best epochs, by {board.metric}")
    used = sum(
        max(len(line) for cell in (name, *cells) for line in cell.split("\n")) + 2 for name, cells in columns.items()
    )
    if board.settings:
        room = max(LEAST_FOR_SETTINGS, width - used - 4)
        columns["unlike most"] = [shorten(settings_text(board, place), room) for place in range(len(shown))]
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for name in columns:
        is_text = name in ("run", "unlike most")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, cells))
    return table
