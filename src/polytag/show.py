"""`show data=...`: the images and labels that `train` would get, before any training."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import numpy.typing as npt

    from polytag.data.label_table import LabelTable
    from polytag.schedule.recipe import Phase

VIEWS = 16


@command("show")
def main(config: DictConfig) -> None:
    """Print the head of the label table and the counts of the labels; write four pictures."""
    from polytag import build, check_config
    from polytag.data.statistics import describe
    from polytag.settle import unsettled
    from polytag.tracking import console

    check_config.check_sweep(config, "show")
    check_config.check_keys(config, "show")
    check_options(config)
    config = unsettled(config)
    if config.print_config:
        console.print_config(config)
    number, phase = chosen_phase(config)
    table = build.build_table(config.data)
    row = chosen_row(table, config.image, config.seed, config.data.limit)
    print("\n".join(describe(table)))
    console.print_head(table, config.rows)
    console.print_labels(table)
    for file in write_pictures(config, table, row, number, phase):
        print(file)


def check_options(config: DictConfig) -> None:
    """Refuse numbers that make no sense.

    Raises:
        UserError: Which one.
    """
    for key, least in (("rows", 0), ("images", 1)):
        if not isinstance(config[key], int) or config[key] < least:
            raise UserError(f"{key}={config[key]} is no number from {least} on.")
    if not isinstance(config.brightness, int | float) or not config.brightness > 0:
        raise UserError(f"brightness={config.brightness} is no number above 0.")


def chosen_phase(config: DictConfig) -> tuple[int, "Phase"]:
    """Return the number and the phase whose transforms are shown.

    Raises:
        UserError: The recipe has no such phase.
    """
    from polytag import build

    config = config.copy()
    if config.recipe.get("lr") == "auto":
        OmegaConf.update(config, "recipe.lr", 1.0)  # no picture depends on it
    phases = build.build_recipe(config).phases
    number = len(phases) - 1 if config.phase is None else config.phase
    if not isinstance(number, int) or not 0 <= number < len(phases):
        raise UserError(f"phase={number} is not in the recipe: it has 0 to {len(phases) - 1}.")
    return number, phases[number]


def chosen_row(table: "LabelTable", image: str | int | None, seed: int, limit: int | None = None) -> int:
    """Return the row of an image by its name, as the table lists it, or by its number, or else a seeded one.

    Args:
        table: Where it is.
        image: Its name or number, or None.
        seed: Of the choice.
        limit: How many images of a larger data set the table has, for a clear error.

    Raises:
        UserError: There is no such image.
    """
    if image is None:
        return int(np.random.default_rng(seed).integers(len(table)))
    found = np.flatnonzero(table.names == str(image))  # a name may be a number too
    if len(found):
        return int(found[0])
    if isinstance(image, int) and 0 <= image < len(table):
        return image
    left_out = f" data.limit={limit} leaves out all others." if limit else ""
    raise UserError(
        f"image={image} is neither a name in the data nor a row from 0 to {len(table) - 1}."
        f"{did_you_mean(str(image), table.names.tolist())}{left_out}"
    )


def write_pictures(config: DictConfig, table: "LabelTable", row: int, number: int, phase: "Phase") -> list[Path]:
    """Write the pictures of a table and return their files.

    Args:
        config: Of the command.
        table: All rows, with their splits.
        row: Whose augmentations are shown.
        number: Of the phase.
        phase: Gives image size and transforms.
    """
    from polytag.tracking.label_plots import draw_cooccurrence, draw_counts
    from polytag.tracking.picture_grid import plot_labelled
    from polytag.tracking.style import save

    folder = Path(config.paths.output)
    names = ("grid.png", "augmentations.png", "counts.png", "co_occurrence.png")
    grid, augmentations, counts, both = files = [folder / name for name in names]
    plot_labelled(table, grid, config.images, config.seed, brightness=config.brightness)
    show_augmentations(config, table, row, number, phase, augmentations)
    save(draw_counts(table.targets, table.classes), counts)
    save(draw_cooccurrence(table.targets, table.classes), both)
    return files


def show_augmentations(
    config: DictConfig, table: "LabelTable", row: int, number: int, phase: "Phase", path: Path
) -> None:
    """Draw an image as validation sees it in a phase, and as training does in `VIEWS` epochs."""
    from polytag import build
    from polytag.tracking.augmentation_plot import plot_augmentations
    from polytag.tracking.picture_grid import brighten
    from polytag.tracking.style import shorten

    transforms, size = phase.transforms or build.build(config.transforms), phase.image_size
    image = table.read(row, transforms.presized(size))

    def shown(pixels: "npt.NDArray[np.uint8]") -> "npt.NDArray[np.uint8]":
        return brighten(pixels, config.brightness)

    train = transforms.train(size)
    views = [shown(train(image, (config.seed, epoch, row))) for epoch in range(VIEWS)]
    kind = type(transforms).__name__
    name = shorten(str(table.names[row]), 40)
    brightness = f", brightness x {config.brightness:g}" if config.brightness != 1 else ""
    title = f"{name} in validation, and in {VIEWS} augmentations ({kind}): phase {number}, {size} px{brightness}"
    plot_augmentations(shown(transforms.evaluation(size)(image)), views, title, path)


if __name__ == "__main__":
    main()
