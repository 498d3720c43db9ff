"""`predict run=DIR source=... out=FILE.csv`: labels for images that have none."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError
from polytag.run_folder import refuse_existing
from polytag.run_options import register_run_options

if TYPE_CHECKING:
    from polytag.data.label_table import LabelTable
    from polytag.inference.loaded_run import LoadedRun


@command("predict", before=register_run_options)
def main(config: DictConfig) -> None:
    """Predict a folder, the images that a CSV lists, or one image."""
    for key, example in (("run", "run=FOLDER, the path that `train` printed"), ("source", "source=PHOTOS")):
        if OmegaConf.is_missing(config, key):
            raise UserError(f"{key} is not set: predict {example}.")
    source = Path(config.source)
    check_paths(source, config)
    from polytag import build, check_config  # only now: a mistake in a path need not wait for torch
    from polytag.data.files import require_files
    from polytag.inference.loaded_run import load_run
    from polytag.inference.predictor import choose_device
    from polytag.inference.tta import NoTTA
    from polytag.run_folder import check_separator, tag_text, write_predictions

    check_config.check_keys(config, "predict")
    run = with_policy(load_run(config.run, config.checkpoint), config.policy)
    tta = build.build_tta(config.tta, run.config.data)
    if config.out is not None:
        check_separator(run.classes, config.separator)
    table = require_files(images_to_predict(source, run, config), "error", config.on_broken, prefix="")
    probabilities = run.predict(
        table,
        tta=tta,
        device=choose_device(config.device),
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        title="predicting" if len(table) > config.batch_size else None,
    )
    decisions = run.policy.decide(probabilities)
    if config.out is None:
        print_one(run, probabilities[0], decisions[0])
        return
    tags = tag_text(decisions, run.classes, config.separator)
    write_predictions(Path(config.out), table.names, run.classes, probabilities, tags=tags)
    print(f"{len(table):,} images predicted{'' if isinstance(tta, NoTTA) else f' with {tta}'}: {config.out}")


def with_policy(run: "LoadedRun", policy: DictConfig) -> "LoadedRun":
    """Return the run with a policy of another kind or other values; a search is done on its validation predictions."""
    from dataclasses import replace

    from polytag import build
    from polytag.policy.cross_fit import find
    from polytag.policy.search import Search
    from polytag.run_folder import read_predictions
    from polytag.tracking.console import print_search

    if build.is_same(policy, run.config.policy):
        return run
    asked = build.build_policy(policy, run.classes, run.config.data)
    if not isinstance(asked, Search):
        return replace(run, policy=asked)
    stored = read_predictions(run.folder.predictions("val"))
    found = find(asked, stored.probabilities, stored.targets)
    assert found.search is not None
    print_search(found.search)
    return replace(run, policy=found.policy)


def check_paths(source: Path, config: DictConfig) -> None:
    """Refuse a source that is not there, and an output that is missing or would be overwritten.

    Raises:
        UserError: Either.
    """
    if not source.exists():
        raise UserError(f"There is no source {source}. Name a folder, a CSV or an image.")
    if config.out is None and (source.is_dir() or source.suffix.lower() == ".csv"):
        raise UserError("Where shall the predictions go? Add out=FILE.csv.")
    if config.out is not None:
        refuse_existing(Path(config.out), config.overwrite)


def images_to_predict(source: Path, run: "LoadedRun", config: DictConfig) -> "LabelTable":
    """Return the table of the images to predict; its targets are empty.

    Raises:
        UserError: The source holds no image.
    """
    import numpy as np

    from polytag.data.files import list_images
    from polytag.data.label_table import LabelTable
    from polytag.data.sheet import read_sheet

    if source.is_dir():
        root, names = source, list_images(source)
    elif source.suffix.lower() == ".csv":
        sheet = read_sheet(source)
        root = Path(config.root) if config.root else source.parent
        names = sheet.cells(sheet.find(config.column, "column") if config.column else sheet.columns[0])
    else:
        root, names = source.parent, [source.name]
    if not names:
        raise UserError(f"{source} holds no image.")
    return LabelTable(
        paths=np.array([str(root / name) for name in names]),
        names=np.array(names),
        classes=run.classes,
        targets=np.zeros((len(names), len(run.classes)), np.int8),
        split=np.array([""] * len(names)),
        decoder=run.decoder,
        hint="Correct the source.",
    )


def print_one(run: "LoadedRun", probabilities: "object", decisions: "object") -> None:
    """Print the probability of each label of one image, the likeliest first, and the chosen tags."""
    import numpy as np

    values = np.asarray(probabilities)
    width = max(len(name) for name in run.classes)
    for index in np.argsort(-values, kind="stable"):
        print(f"{run.classes[index]:<{width}}  {values[index]:.4f}")
    chosen = [name for name, is_chosen in zip(run.classes, np.asarray(decisions), strict=True) if is_chosen]
    print(f"tags: {' '.join(chosen) or '(none)'}")


if __name__ == "__main__":
    main()
