"""Tables and trees in the terminal; plain text where there is none."""

from collections.abc import Iterable, Mapping

import yaml
from omegaconf import DictConfig
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.tree import Tree

from polytag.run_folder import plain_values
from polytag.schedule.recipe import Recipe

console = Console(soft_wrap=True)


def print_config(config: DictConfig) -> None:
    """Print the resolved config as a tree, one branch a group."""
    plain = plain_values(config)
    tree = Tree("config")
    for key, value in plain.items():
        if isinstance(value, dict) and value:
            text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=200).rstrip()
            tree.add(key).add(Syntax(text, "yaml", background_color="default"))
        else:
            tree.add(f"{key}: {value!r}")
    console.print(tree)


def print_recipe(recipe: Recipe) -> None:
    """Print one row a phase."""
    epochs, phases = recipe.epochs, len(recipe.phases)
    title = f"Recipe: {epochs} epoch{'s' * (epochs != 1)} in {phases} phase{'s' * (phases != 1)}"
    table = Table(title=title, title_justify="left")
    for column in ("phase", "epochs", "pixels", "frozen", *(f"peak lr {group}" for group in recipe.phases[0].groups)):
        table.add_column(column, justify="left" if column == "frozen" else "right")
    for number, phase in enumerate(recipe.phases):
        rates = [
            "-" if group in phase.frozen else f"{phase.lr / div:.2g}"
            for group, div in zip(phase.groups, phase.group_lr_div, strict=True)
        ]
        table.add_row(str(number), str(phase.epochs), str(phase.image_size), "+".join(phase.frozen) or "-", *rates)
    console.print(table)


def print_scores(title: str, columns: Mapping[str, Mapping[str, float]], undefined: Iterable[str] = ()) -> None:
    """Print a table of scores: one row a metric, one column a predictor, the run first and baselines beside it."""
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for name in columns:
        table.add_column(name, justify="right")
    first = next(iter(columns.values()))
    for metric in first:
        table.add_row(metric, *(_number(scores.get(metric)) for scores in columns.values()))
    console.print(table)
    if listed := list(undefined):
        console.print(f"Left out of macro averages, because no image here carries them: {', '.join(listed)}.")


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"
