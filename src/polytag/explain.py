"""`explain run=DIR source=...`: where in an image the network sees each label."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from polytag.data.label_table import LabelTable
    from polytag.inference.loaded_run import LoadedRun


@command("explain")
def main(config: DictConfig) -> None:
    """Write one picture an image: the photograph, and beside it the places that speak for each label."""
    for key, example in (("run", "run=FOLDER, the path that `train` printed"), ("source", "source=PHOTOS")):
        if OmegaConf.is_missing(config, key):
            raise UserError(f"{key} is not set: explain {example}.")
    check_options(config)
    from polytag.check_config import check_keys  # only now: a mistake in a path need not wait for torch
    from polytag.data.files import require_files
    from polytag.inference.loaded_run import load_run
    from polytag.inference.predictor import choose_device
    from polytag.predict import images_to_predict
    from polytag.tracking.picture_choice import sample_rows

    check_keys(config, "explain")
    run = load_run(config.run, config.checkpoint)
    asked = None if config.labels is None else label_numbers(config.labels, run.classes)
    found = images_to_predict(Path(config.source), run, config)
    chosen = found if config.limit is None else found.rows(sample_rows(len(found), config.limit, config.seed))
    table = require_files(chosen, "error", config.on_broken, prefix="")
    probabilities = run.predict(
        table,
        device=choose_device(config.device),
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        title="predicting" if len(table) > config.batch_size else None,
    )
    decisions = run.policy.decide(probabilities)
    files = write_pictures(run, table, probabilities, decisions, Path(config.out), asked, config.top_k)
    for file in files:
        print(file)
    without = int((~decisions.any(1)).sum())
    if without and asked is None and config.top_k is None:
        print(f"No label is predicted for {without:,} of them: there the likeliest one is shown.")
    of_all = f" of {len(found):,} (limit={config.limit}, seed={config.seed})" if len(chosen) < len(found) else ""
    print(f"{len(files):,} image{'s' * (len(files) != 1)}{of_all} explained: {config.out}")


def check_options(config: DictConfig) -> None:
    """Refuse a source that is not there, or options that make no sense.

    Raises:
        UserError: Which one.
    """
    source = Path(config.source)
    if not source.exists() or source.suffix.lower() == ".csv":
        raise UserError(f"source={source} is no folder and no image. Name one of them.")
    if config.labels is not None and config.top_k is not None:
        raise UserError("labels= and top_k= exclude each other: leave out one.")
    for key in ("top_k", "limit"):
        if config[key] is not None and (not isinstance(config[key], int) or config[key] < 1):
            raise UserError(f"{key}={config[key]} is no number from 1 on.")


def label_numbers(labels: "str | Sequence[str]", classes: "Sequence[str]") -> list[int]:
    """Return the numbers of classes by name.

    Raises:
        UserError: There is no class of that name, or no name at all.
    """
    names = [labels] if isinstance(labels, str | int) else list(labels)
    if not names:
        raise UserError("labels=[] names no label. Leave it out for the predicted ones.")
    numbers = []
    for name in map(str, names):
        if name not in classes:
            raise UserError(f"The run has no label {name!r}.{did_you_mean(name, classes)} It has {', '.join(classes)}.")
        numbers.append(classes.index(name))
    return numbers


def write_pictures(
    run: "LoadedRun",
    table: "LabelTable",
    probabilities: "npt.NDArray[np.float32]",
    decisions: "npt.NDArray[np.bool_]",
    out: Path,
    asked: "Sequence[int] | None",
    top_k: int | None,
) -> list[Path]:
    """Write the picture of each image of a table and return the files.

    Args:
        run: What predicted them.
        table: The N images.
        probabilities: ``(N, L)``.
        decisions: ``(N, L)``, which labels are predicted.
        out: Folder for the pictures; below it they lie as the images do.
        asked: Numbers of the labels to show; None for those that `shown_labels` chooses.
        top_k: See there.
    """
    from polytag.inference.class_activation import activation_overlays
    from polytag.tracking.activation_plot import Overlay, plot_overlays
    from polytag.tracking.console import progress_bar

    files = []
    with progress_bar() as progress:
        for row in progress.track(range(len(table)), description="explaining"):
            shown = shown_labels(probabilities[row], decisions[row], top_k) if asked is None else asked
            pixels = table.read(row)
            overlays = [
                Overlay(run.classes[i], float(probabilities[row, i]), bool(decisions[row, i]), overlay)
                for i, overlay in zip(shown, activation_overlays(run, pixels, shown), strict=True)
            ]
            files.append(out / f"{table.names[row]}.png")  # of a.jpg a.jpg.png: there may be an a.png beside it
            plot_overlays(pixels, overlays, files[-1])
    return files


def shown_labels(
    probabilities: "npt.NDArray[np.float32]", decisions: "npt.NDArray[np.bool_]", top_k: int | None
) -> list[int]:
    """Return the numbers of the labels to show of an image, the likeliest first.

    These are the `top_k` likeliest, or without it the predicted ones: the likeliest alone where none is.
    """
    import numpy as np

    order = np.argsort(-probabilities, kind="stable").tolist()
    return order[:top_k] if top_k is not None else [i for i in order if decisions[i]] or order[:1]


if __name__ == "__main__":
    main()
