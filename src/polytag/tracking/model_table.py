"""The network as a table: by layer group at the start of a training, by block in the run folder."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from polytag.models.summary import Block, Shape, trained_parameters
from polytag.schedule.recipe import Recipe, join_names
from polytag.tracking.console import console

if TYPE_CHECKING:
    from polytag.models.network import Network

NO_LIMIT = 1000  # characters a line


def describe_network(network: "Network") -> str:
    """Return backbone and head for people."""
    return f"Network: {network.backbone_name} with a {type(network.head).__name__}"


def print_groups(blocks: Sequence[Block], recipe: Recipe, title: str) -> None:
    """Print one row a layer group: what it puts out, its parameters, and the phases in which it trains.

    Of many image sizes the first and the last are shown, and fewer where there is no room for them.
    """
    sizes = recipe.image_sizes
    for shown in ((sizes[0], sizes[-1])[: len(sizes)], sizes[:1], ()):
        table = _group_table(blocks, recipe, title, shown)
        if console.measure(table, options=console.options.update(max_width=NO_LIMIT)).maximum <= console.width:
            break
    console.print(table)
    console.print("Its blocks: model.txt")


def _group_table(blocks: Sequence[Block], recipe: Recipe, title: str, sizes: Sequence[int]) -> Table:
    table = _table(sizes, ("group",), ("blocks",), title)
    for group in recipe.groups:
        members = [block for block in blocks if block.group == group]
        count = sum(block.parameters for block in members)
        cells = _shapes(members[-1].outputs, sizes)
        table.add_row(group, str(len(members)), *cells, f"{count:,}", _phases(group, recipe))
    total = sum(block.parameters for block in blocks)
    table.add_row("all", str(len(blocks)), *[""] * len(sizes), f"{total:,}", "", style="bold")
    return table


def model_text(blocks: Sequence[Block], recipe: Recipe, title: str) -> str:
    """Return one row a block, and then one a phase with how many parameters it trains, as plain text."""
    table = _table(recipe.image_sizes, ("group", "block", "kind"), (), title)
    for place, block in enumerate(blocks):
        is_first = place == 0 or blocks[place - 1].group != block.group
        cells = [block.group if is_first else "", block.name, block.kind, *_shapes(block.outputs, recipe.image_sizes)]
        table.add_row(*cells, f"{block.parameters:,}", _phases(block.group, recipe))
    total = sum(block.parameters for block in blocks)
    table.add_section()
    table.add_row("all", "", "", *[""] * len(recipe.image_sizes), f"{total:,}", "")
    buffer = io.StringIO()
    plain = Console(file=buffer, width=NO_LIMIT, color_system=None)
    plain.print(table, _phase_table(blocks, recipe))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _phase_table(blocks: Sequence[Block], recipe: Recipe) -> Table:
    total = sum(block.parameters for block in blocks)
    table = Table(title="Parameters that each phase trains", title_justify="left", box=SIMPLE_HEAD)
    for name in ("phase", "pixels", "frozen", "trained", "share"):
        table.add_column(name, justify="left" if name == "frozen" else "right")
    for number, phase in enumerate(recipe.phases):
        trained = trained_parameters(blocks, phase.frozen)
        frozen = join_names(phase.frozen) or "-"
        table.add_row(str(number), str(phase.image_size), frozen, f"{trained:,}", f"{trained / total:.1%}")
    return table


def _table(sizes: Sequence[int], words: Sequence[str], numbers: Sequence[str], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in (*numbers, *(f"output at\n{size} px" for size in sizes), "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("trains in\nphases", no_wrap=True)
    return table


def _shapes(outputs: Mapping[int, Shape | None], sizes: Sequence[int]) -> list[str]:
    return [" x ".join(map(str, shape)) if (shape := outputs[size]) else "-" for size in sizes]


def _phases(group: str, recipe: Recipe) -> str:
    """Return the numbers of the phases in which a group trains, neighbours as a range: `0-2, 4`."""
    runs: list[list[int]] = []
    for number, phase in enumerate(recipe.phases):
        if group in phase.frozen:
            continue
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "none"
