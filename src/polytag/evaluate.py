"""`evaluate run=DIR`: the scores of a run's checkpoint on labelled images, its own or others."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError, first_few
from polytag.run_options import register_run_options

if TYPE_CHECKING:
    from polytag.data.label_table import LabelTable


@command("evaluate", before=register_run_options)
def main(config: DictConfig) -> None:
    """Score, print the table beside the trivial baselines, write summary.json and predictions.csv."""
    if OmegaConf.is_missing(config, "run"):
        raise UserError("Which run? evaluate run=FOLDER, the path that `train` printed at its end.")
    from polytag import build, check_config
    from polytag.data.label_table import TRAIN
    from polytag.inference.loaded_run import load_run
    from polytag.inference.predictor import choose_device
    from polytag.inference.scoring import score
    from polytag.inference.tta import NoTTA
    from polytag.run_folder import RunFolder, plain_values, write_predictions
    from polytag.tracking import console

    check_config.check_keys(config, "evaluate")
    folder = RunFolder.existing(config.run)
    out = Path(config.out) if config.out else folder.path / "evaluation" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    refuse_existing(out / "summary.json", config.overwrite)
    tta = build.build_tta(config.tta, config.data)
    run = load_run(config.run, config.checkpoint, build.build(config.policy))
    everything = with_classes(build.build_table(config.data), run.classes)
    split = config.split or ("val" if is_own_data(config.data, run.config.data) else "all")
    rows = choose_rows(everything, split)
    probabilities = run.predict(
        rows,
        tta=tta,
        device=choose_device(config.device),
        batch_size=config.data.batch_size,
        num_workers=config.data.num_workers,
        cache=build.build_cache(config),
        title="evaluating",
    )
    learned_from = everything.part(TRAIN) if len(everything.part(TRAIN)) else everything
    result = score(rows, probabilities, learned_from.targets, run.policy, build.build_metrics(config))
    views = "" if isinstance(tta, NoTTA) else f" with {tta}"
    title = f"Scores of {config.checkpoint} on the {len(rows):,} images of split={split}{views}"
    console.print_scores(title, {"this run": result.scores} | result.baselines, result.undefined)
    write_predictions(out / "predictions.csv", rows.names, run.classes, probabilities, targets=rows.targets)
    folder.write_json(
        out / "summary.json",
        {
            "run": str(folder.path),
            "checkpoint": config.checkpoint,
            "images": len(rows),
            "image_size": run.image_size,
            "scores": result.scores,
            "baselines": result.baselines,
            "undefined_classes": list(result.undefined),
            "policy": run.policy.to_dict(run.classes),
            "tta": plain_values(config)["tta"],
        },
    )
    print(f"Written to {out}")


def refuse_existing(file: Path, overwrite: bool) -> None:
    """Raise before any work is done where the result could not be written in the end."""
    if file.exists() and not overwrite:
        raise UserError(f"{file} exists already. Name another out=..., or add overwrite=true.")


def is_own_data(data: DictConfig, own: DictConfig) -> bool:
    """Whether the data are those that the run was trained on: not named anew, or named with the same root."""
    if HydraConfig.get().runtime.choices["data"] == "from_run":
        return True
    return bool(data._target_ == own._target_ and Path(data.root).absolute() == Path(own.root).absolute())


def with_classes(table: "LabelTable", classes: tuple[str, ...]) -> "LabelTable":
    """Return the table with its target columns in the order of a run's classes.

    Raises:
        UserError: The data has a class that the run does not know.
    """
    from dataclasses import replace

    import numpy as np

    if unknown := [name for name in table.classes if name not in classes]:
        raise UserError(
            f"The data has classes that the run does not know: {first_few(unknown)}. Its classes: {', '.join(classes)}."
        )
    targets = np.zeros((len(table), len(classes)), np.uint8)
    targets[:, [classes.index(name) for name in table.classes]] = table.targets
    return replace(table, classes=classes, targets=targets)


def choose_rows(table: "LabelTable", split: str) -> "LabelTable":
    """Return the rows to score.

    Raises:
        UserError: An unknown split, or one without rows.
    """
    if split not in ("train", "val", "test", "all"):
        raise UserError(f"split={split} is none of train, val, test, all.")
    rows = table if split == "all" else table.part(split)
    if not len(rows):
        raise UserError(f"The data has no rows in split={split}. Choose another: split=all.")
    return rows


if __name__ == "__main__":
    main()
