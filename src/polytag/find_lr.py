"""`find-lr`: which learning rate suits a phase of a training, by a range test. `train recipe.lr=auto` asks it too."""

import copy
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError
from polytag.schedule.lr_suggestions import Numbers, check_rule, judged_part, rising_rates, suggest_rates

if TYPE_CHECKING:
    from polytag.data.label_table import LabelTable
    from polytag.schedule.range_test import Sweep
    from polytag.schedule.recipe import Phase

log = logging.getLogger(__name__)

PICTURE, POINTS = "lr_finder.png", "lr_finder.csv"


@dataclass(frozen=True)
class RangeTest:
    """Which range test to make, and whose word to take.

    Attributes:
        phase: Number of the recipe's phase.
        start_lr: Rate of the first step.
        end_lr: Rate of the last step.
        steps: Number of optimizer steps.
        suggestion: Name of the rule that is followed.
    """

    phase: int = 0
    start_lr: float = 1e-7
    end_lr: float = 10.0
    steps: int = 100
    suggestion: str = "minimum"

    def __post_init__(self) -> None:
        for name in ("phase", "steps"):
            if not isinstance(getattr(self, name), int):
                raise UserError(f"{name}={getattr(self, name)} must be a whole number.")
        check_rule(self.suggestion)
        judged_part(self.steps, self.steps)
        self.rates()

    def rates(self) -> Numbers:
        """Return the rate of each step."""
        return rising_rates(self.start_lr, self.end_lr, self.steps)


@dataclass(frozen=True)
class Found:
    """What a range test found.

    Attributes:
        suggestions: Rate of the phase by the name of its rule.
        per_phase: What `recipe.lr` is for a rate of 1 of the phase; None where the phase has a rate of its own.
        title: What was tested, in one line.
        weights: Where the weights came from that the test began with, in one line.
    """

    suggestions: dict[str, float]
    per_phase: float | None
    title: str
    weights: str

    def recipe_lr(self, name: str) -> float | None:
        """Return the `recipe.lr` with which the phase's head gets the suggested rate, to three digits."""
        return None if self.per_phase is None else float(f"{self.suggestions[name] * self.per_phase:.3g}")


@command("find_lr")
def main(config: DictConfig) -> None:
    """Make the test, print what the four rules suggest, write the picture and the points."""
    import pytorch_lightning as pl

    from polytag import build, check_config
    from polytag.allocator import keep_freed_memory
    from polytag.data.statistics import describe
    from polytag.settle import unsettled
    from polytag.tracking import console

    check_config.check_sweep(config, "find-lr")
    check_config.check_keys(config, "find_lr")
    config = unsettled(config)
    keep_freed_memory()
    if config.print_config:
        console.print_config(config)
    pl.seed_everything(config.seed, workers=False, verbose=False)
    test = RangeTest(config.phase, config.start_lr, config.end_lr, config.steps, config.suggestion)
    table = build.build_table(config.data)
    found = find_lr(config, table, Path(config.paths.output), test)
    print("\n".join(describe(table)))
    print(f"Weights: {found.weights}")
    print_suggestions(found, test)
    print(f"Written to {config.paths.output}")


def found_lr(config: DictConfig, table: "LabelTable", folder: Path) -> float:
    """Return the learning rate for `recipe.lr=auto`, and write the picture and the points of the test.

    Nothing that the training does afterwards depends on whether the test was made.

    Args:
        config: Of `train`, whose `auto_lr` says which test; whatever its `recipe.lr` is.
        table: All rows, with their splits.
        folder: Where the files go.

    Raises:
        UserError: The phase has a rate of its own, which `recipe.lr` does not move; or the test fails.
    """
    wanted = config.auto_lr
    phase = fullest_phase(config) if wanted.phase is None else wanted.phase
    test = RangeTest(phase, steps=wanted.steps, suggestion=wanted.suggestion)
    found = find_lr(config, table, folder, test)
    rate = found.recipe_lr(test.suggestion)
    if rate is None:
        raise UserError(
            f"recipe.lr=auto: phase {test.phase} has an lr of its own: drop it, or give it as lr_div, or let "
            "auto_lr.phase name another phase."
        )
    log.info(f"{found.title}. By the rule {test.suggestion}: recipe.lr={rate:g}. Picture: {folder / PICTURE}")
    return rate


def fullest_phase(config: DictConfig) -> int:
    """Return the number of the first phase in which the fewest layer groups are frozen."""
    from polytag import build

    frozen = [len(phase.frozen) for phase in build.build_recipe(_with_lr(config, 1.0)).phases]
    return frozen.index(min(frozen))


def find_lr(config: DictConfig, table: "LabelTable", folder: Path, test: RangeTest) -> Found:
    """Make a range test of a phase, with the network and the data that `train` would start with.

    Raises:
        UserError: No such phase or rule, an empty range, too few points, or a loss that is never finite.
    """
    from polytag.tracking.lr_plot import plot_sweep, write_points

    config, phase, per_phase = with_number(config, test.phase)
    sweep, weights = _sweep(config, table, test, phase)
    write_points(sweep, folder / POINTS)  # before anything is said of them: they may be too few, and show why
    suggestions = suggest_rates(sweep.rates, sweep.smoothed, test.steps)
    title = f"Range test of phase {test.phase}: {phase.describe()}"
    found = Found(suggestions, per_phase, title, weights)
    taken = found.recipe_lr(test.suggestion)
    note = "" if taken is None else f"  (recipe.lr={taken:g})"
    judged = judged_part(len(sweep.rates), test.steps)
    plot_sweep(sweep, judged, suggestions, test.suggestion, note, title, folder / PICTURE)
    return found


def with_number(config: DictConfig, number: int) -> tuple[DictConfig, "Phase", float | None]:
    """Return the config with 1 as `recipe.lr`, a phase of its recipe, and what `recipe.lr` is for a phase's rate of 1.

    The last is None where the phase's rate does not move with `recipe.lr`.

    Raises:
        UserError: There is no such phase.
    """
    from polytag import build

    config, doubled = _with_lr(config, 1.0), _with_lr(config, 2.0)
    phases = build.build_recipe(config).phases
    if not 0 <= number < len(phases):
        raise UserError(f"phase={number}: the recipe has the phase{'s' * (len(phases) > 1)} {_numbers(len(phases))}.")
    moves = not math.isclose(build.build_recipe(doubled).phases[number].lr, phases[number].lr)
    return config, phases[number], 1.0 / phases[number].lr if moves else None


def _with_lr(config: DictConfig, rate: float) -> DictConfig:
    changed = copy.deepcopy(config)
    OmegaConf.update(changed, "recipe.lr", rate)
    return changed


def _numbers(count: int) -> str:
    return f"0 to {count - 1}" if count > 1 else "0"


def _sweep(config: DictConfig, table: "LabelTable", test: RangeTest, phase: "Phase") -> tuple["Sweep", str]:
    """Train a copy of the first weights, on the images and in the order with which `train` would begin the phase.

    Returns what was seen, and where the weights came from.
    """
    from polytag import build
    from polytag.build_trainer import build_compute
    from polytag.data.label_table import TRAIN
    from polytag.data.loaders import train_loader
    from polytag.schedule.range_test import endless, random_state_kept, range_test
    from polytag.tracking.console import progress_bar

    compute = build_compute(config.trainer)
    recipe = build.build_recipe(config)
    with random_state_kept(compute.device), progress_bar() as progress:
        classifier = build.build_classifier(config, table, recipe)
        build.check_groups(classifier.network, recipe)
        build.check_image_sizes(classifier.network, recipe)
        loader = train_loader(
            table.part(TRAIN),
            build.build(config.transforms),
            phase,
            config.data.batch_size,
            config.data.num_workers,
            config.seed,
            cache=build.build_cache(config),
            sampling=build.data_options(config.data).sampling,
        )
        rates = progress.track(test.rates(), description=f"range test of phase {test.phase}")
        batches = endless(loader, recipe.starts[test.phase])
        sweep = range_test(classifier, phase, batches, rates, compute, config.seed)
        return sweep, classifier.network.weights_report


def print_suggestions(found: Found, test: RangeTest) -> None:
    """Print one row a rule, and how to take the recommended rate."""
    from rich.table import Table

    from polytag.tracking.console import console
    from polytag.tracking.lr_plot import LABELS

    print(found.title)
    table = Table()
    table.add_column("suggestion")
    table.add_column("lr of the phase", justify="right")
    table.add_column("recipe.lr", justify="right")
    for name, rate in found.suggestions.items():
        recipe_lr = found.recipe_lr(name)
        style = "bold" if name == test.suggestion else None
        table.add_row(
            LABELS.get(name, name), f"{rate:.3g}", "-" if recipe_lr is None else f"{recipe_lr:g}", style=style
        )
    console.print(table)
    taken = found.recipe_lr(test.suggestion)
    if taken is None:
        print(f"Phase {test.phase} has an lr of its own: recipe.lr does not move it.")
    else:
        print(f"By the rule {test.suggestion}: recipe.lr={taken:g}")


if __name__ == "__main__":
    main()
