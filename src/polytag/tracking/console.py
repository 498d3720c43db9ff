"""Tables and trees in the terminal; plain text where there is none."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from polytag.data.label_table import ABSENT, PRESENT, TEST, TRAIN, UNKNOWN, VAL, LabelTable
from polytag.data.statistics import imbalance, known_counts, label_counts, shares
from polytag.run_folder import plain_values
from polytag.tracking.marked_names import labels_below

if TYPE_CHECKING:
    from polytag.metrics.bootstrap import Difference

console = Console(soft_wrap=True)

INTERVAL = "95 %\ninterval"
MAX_METRIC_COLUMNS = 7
MAX_CLASSES = 30  # in a table of labels; of more, half as many from either end


def look_again() -> None:
    """Let the console see whether it prints to a terminal now: Rich looks once. `rich.reconfigure` does it so, too."""
    console.__dict__ = Console(soft_wrap=True).__dict__


def wide_console() -> Console:
    """Return a console for wide tables. A pipe has no width: there it takes one that the widest table fits."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def progress_bar() -> Progress:
    """Return a bar that vanishes when its work is done, and is not shown where there is no terminal."""
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def print_config(config: DictConfig) -> None:
    """Print the resolved config as a tree, one branch a group."""
    plain = plain_values(config)
    tree = Tree("config")
    for key, value in plain.items():
        if isinstance(value, dict) and value:
            text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=200).rstrip()
            tree.add(key).add(Syntax(text, "yaml", theme="ansi_dark", background_color="default"))
        else:
            tree.add(Text(yaml.safe_dump({key: value}, allow_unicode=True, width=200).rstrip()))
    console.print(tree)


def print_head(table: LabelTable, count: int) -> None:
    """Print the first rows of a label table: names of the labels, and beside them 1, 0, or ? where nobody knows."""
    marks, wide = {PRESENT: "1", ABSENT: "0", UNKNOWN: "?"}, wide_console()
    fits = sum(len(name) + 2 for name in table.classes) + 60 <= wide.width  # a column a class; else a string of marks
    listed = Table(title="Label table", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for name in ("row", "image", "split", "labels"):
        listed.add_column(name, justify="right" if name == "row" else "left", overflow="fold")
    for name in table.classes if fits else [f"the {len(table.classes)} classes in order"]:
        listed.add_column(Text(name), justify="right" if fits else "left", overflow="fold")
    for row in range(min(count, len(table))):
        values = [marks[int(target)] for target in table.targets[row]]
        labels = ", ".join(text for text, _ in labels_below(table.targets[row], table.classes))
        cells = (
            str(row),
            str(table.names[row]),
            str(table.split[row]),
            labels,
            *(values if fits else ["".join(values)]),
        )
        listed.add_row(*map(Text, cells))
    wide.print(listed)


def print_labels(table: LabelTable) -> None:
    """Print how many images of each split have each label, the most frequent first, and how uneven that is.

    Shares are those of the training images of which it is known; what is unknown is counted over all splits.
    """
    parts = {split: table.part(split) for split in (TRAIN, VAL, TEST) if (table.split == split).any()}
    train = parts.get(TRAIN, table)
    counts, unknown = label_counts(train), len(table) - known_counts(table)
    columns = {"train": _counted(counts), "share": [_percent(share) for share in shares(train)]}
    columns |= {split: _counted(label_counts(part)) for split, part in parts.items() if split != TRAIN}
    if unknown.any():
        columns["unknown"] = _counted(unknown)
    listed = Table(title="Images with each label", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    listed.add_column("class", overflow="fold")
    for name in columns:
        listed.add_column(name, justify="right", no_wrap=True)
    order = np.argsort(-counts, kind="stable")
    half = MAX_CLASSES // 2 if len(order) > MAX_CLASSES else len(order)
    for place, column in enumerate([*order[:half], *order[half:][-half:]]):
        if place == half:
            rest = counts[order[half:-half]]
            listed.add_row(f"... {len(rest):,} between, {rest[-1]:,} to {rest[0]:,}")
        listed.add_row(Text(table.classes[column]), *(cells[column] for cells in columns.values()))
    console.print(listed, soft_wrap=False)  # long names are folded
    wide_console().print(f"Train images: {imbalance(train)}", highlight=False)


def _counted(numbers: Iterable[int]) -> list[str]:
    return [f"{number:,}" for number in numbers]


def _percent(share: float) -> str:
    if share != share:
        return "-"
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def short_count(number: int) -> str:
    """Return a number as people say it: 950, 12.3k, 4.56M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * unit:  # 999,600 is 1M, not 1e+03k
            return f"{number / unit:.3g}{name}"
    return str(number)


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def print_scores(
    title: str,
    columns: Mapping[str, Mapping[str, float]],
    notes: Iterable[str] = (),
    intervals: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Print a table of scores: one row a metric, one column a predictor, the run first and baselines beside it.

    Args:
        title: What stands above it.
        columns: Name of the predictor -> metric -> score.
        notes: Lines below it.
        intervals: Metric -> lower and upper end for the first predictor; None for no such column.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    first, *others = columns
    table.add_column("metric", no_wrap=True)
    for name in (first, *([INTERVAL] if intervals else []), *others):
        table.add_column(name if name == INTERVAL else name.replace(" ", "\n", 1), justify="right")
    for metric in columns[first]:
        cells = [_number(scores.get(metric)) for scores in columns.values()]
        if intervals:
            cells.insert(1, "–".join(_number(end, 3) for end in intervals[metric]))
        table.add_row(metric, *cells)
    console.print(table)
    for note in notes:
        console.print(note)


def print_differences(title: str, differences: Mapping[str, "Difference"], guess: Mapping[str, float]) -> None:
    """Print one row a metric: both scores, their difference with its interval, how sure A is better, and a guess."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("metric", no_wrap=True)
    for name in ("A", "B", "A - B", "95 %\nfrom", "\nto", "A is\nbetter", "label\nfreq."):
        table.add_column(name, justify="right")
    for metric, one in differences.items():
        gaps = ("-" if gap != gap else f"{gap:+.4f}" for gap in (one.a - one.b, one.low, one.high))
        sure = "-" if one.a_is_better != one.a_is_better else f"{one.a_is_better:.1%}"
        table.add_row(metric, _number(one.a), _number(one.b), *gaps, sure, _number(guess[metric]))
    console.print(table)


def print_thresholds(rows: Sequence[Mapping[str, float | str]]) -> None:
    """Print one row a threshold and predictor, one column a metric; of many metrics several such tables."""
    heads, metrics = list(rows[0])[:2], list(rows[0])[2:]
    for start in range(0, len(metrics), MAX_METRIC_COLUMNS):
        title = "" if start else "Scores at thresholds"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
        names = [*heads, *metrics[start : start + MAX_METRIC_COLUMNS]]
        for name in names:
            table.add_column(name, justify="left" if name == "predictor" else "right")
        for row in rows:
            table.add_row(*(value if isinstance(value := row[name], str) else _number(value) for name in names))
        wide_console().print(table)


def print_search(search: Mapping[str, Any]) -> None:
    """Print what searched thresholds are worth, on images that they were found on and on others."""
    names = {"honest": "honest", "optimistic": "optimistic", "at_0.5": "at 0.5"}
    scores = ", ".join(f"{text} {_number(search[name])}" for name, text in names.items())
    console.print(
        f"Thresholds searched on {search['images']:,} validation images for {search['score']}, {search['method']}: "
        f"{scores}.\n"
        f"Honest: each image by thresholds found without it, in {search['folds']} folds. Optimistic: by those found on "
        "all of them, which are the ones for other images."
    )
    if search["verdict"]:
        console.print(search["verdict"])


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"
