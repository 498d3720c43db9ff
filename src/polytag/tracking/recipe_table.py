"""The recipe as a table in the terminal: a row a phase."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from polytag.schedule.recipe import Phase, Recipe, join_names
from polytag.tracking.console import console, duration, short_count

if TYPE_CHECKING:
    from polytag.models.network import Network
    from polytag.phase_costs import Cost

MAX_GROUP_COLUMNS = 6
WORDS = ("frozen", "curve", "transforms")  # columns that hold no numbers


def print_recipe(
    recipe: Recipe,
    network: "Network | None" = None,
    batch_size: int | None = None,
    costs: Sequence["Cost"] | None = None,
) -> None:
    """Print one row a phase.

    Args:
        recipe: The phases.
        network: Gives the number of parameters of each group; left out where there is none.
        batch_size: Of the phases that have none of their own.
        costs: What a dry run found for each phase, in their order.
    """
    epochs, phases = recipe.epochs, len(recipe.phases)
    sizes = {} if network is None else group_sizes(network)
    columns = {
        "phase": [str(number) for number in range(phases)],
        "epochs": [str(phase.epochs) for phase in recipe.phases],
        "pixels": [str(phase.image_size) for phase in recipe.phases],
        "batch": [str(phase.batch_size or batch_size or "") for phase in recipe.phases],
        "frozen": [join_names(phase.frozen) or "-" for phase in recipe.phases],
        **_rate_columns(recipe, sizes),
        **_own_columns(recipe),
    }
    totals = {"phase": "all", "epochs": str(epochs)}
    if costs:
        columns |= {"images": [f"{c.images:,}" for c in costs], "time": [duration(c.seconds) for c in costs]}
        totals |= {"images": f"{sum(c.images for c in costs):,}", "time": duration(sum(c.seconds for c in costs))}
    title = f"Recipe: {epochs} epoch{'s' * (epochs != 1)} in {phases} phase{'s' * (phases != 1)}"
    table = Table(title=title, title_justify="left", show_footer=bool(costs), box=SIMPLE_HEAD, collapse_padding=True)
    columns = {name: cells for name, cells in columns.items() if any(cells)}  # no batch where none is known
    for name in columns:
        table.add_column(name, totals.get(name, ""), justify="left" if name in WORDS else "right")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    table.width = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.print(table, crop=False)  # in a window that is too narrow lines break, but no number is lost
    if sizes and len(sizes) > MAX_GROUP_COLUMNS:
        console.print("Parameters: " + ", ".join(f"{name} {short_count(size)}" for name, size in sizes.items()))


def group_sizes(network: "Network") -> dict[str, int]:
    """Return how many parameters each layer group has."""
    from polytag.models.layer_groups import layer_groups

    counts = {name: parameter.numel() for name, parameter in network.named_parameters()}
    return {group: sum(counts[name] for name in names) for group, names in layer_groups(network).items()}


def _rate_columns(recipe: Recipe, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the peak rates: a column a group, with its parameters in the header, or a single one for many groups."""
    if len(recipe.groups) > MAX_GROUP_COLUMNS:
        return {"lr\nfirst to last": [_rate_range(phase) for phase in recipe.phases]}
    names = [f"lr\n{group}\n{short_count(sizes[group])}" if sizes else f"lr\n{group}" for group in recipe.groups]
    rates = [_rates(phase) for phase in recipe.phases]
    return {name: list(cells) for name, cells in zip(names, zip(*rates, strict=True), strict=True)}


def _own_columns(recipe: Recipe) -> dict[str, list[str]]:
    """Return the curves where phases have different ones, and the transforms where a phase has its own."""
    own = {
        "curve": [type(phase.curve).__name__ for phase in recipe.phases],
        "transforms": [type(phase.transforms).__name__ if phase.transforms else "-" for phase in recipe.phases],
    }
    return {name: cells for name, cells in own.items() if len(set(cells)) > 1}


def _rates(phase: Phase) -> list[str]:
    """Return the peak rate of each group; a dash where it is frozen."""
    rates = zip(phase.groups, phase.group_lr_div, strict=True)
    return ["-" if group in phase.frozen else f"{phase.lr / div:.2g}" for group, div in rates]


def _rate_range(phase: Phase) -> str:
    """Return the peak rates of the first and the last group that train."""
    rates = [rate for rate in _rates(phase) if rate != "-"]
    return rates[0] if rates[0] == rates[-1] else f"{rates[0]} to {rates[-1]}"
