"""The predictions that `evaluate` scores: those that the run has stored, or new ones of the network."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from polytag import build
from polytag.data.label_table import TEST, TRAIN, UNKNOWN, VAL, LabelTable
from polytag.data.statistics import shares
from polytag.errors import UserError, first_few
from polytag.inference.loaded_run import load_run
from polytag.inference.predictor import choose_device
from polytag.inference.tta import NoTTA
from polytag.policy.cross_fit import Found
from polytag.policy.stored import read_policy
from polytag.run_folder import RunFolder, plain_values, read_predictions

log = logging.getLogger(__name__)

TRAINED_ON = {"train": ", which the run was trained on", "all": ", most of which the run was trained on"}


@dataclass(frozen=True)
class Predicted:
    """What is scored.

    Attributes:
        table: The N rows; of stored predictions, names and targets only.
        probabilities: ``(N, L)``.
        frequencies: ``(L,)`` share of the training images that have each label.
        found: The run's policy.
        split: Which rows these are.
        are_validation: Whether they are the rows that the run was validated on.
        facts: What else summary.json says about them.
    """

    table: LabelTable
    probabilities: npt.NDArray[np.float32]
    frequencies: npt.NDArray[np.float64]
    found: Found
    split: str
    are_validation: bool
    facts: dict[str, Any]


def takes_stored(config: DictConfig, chosen: Mapping[str, str], folder: RunFolder) -> bool:
    """Whether the run's stored predictions are scored instead of images.

    They are where only the scoring is asked for anew, by `metrics=`, `policy=`, `thresholds=` or `bootstrap=`, of what
    the run has predicted already: a split of its own data, by its best checkpoint, without test-time augmentation.

    Args:
        config: Of `evaluate`.
        chosen: Which option of each config group was chosen.
        folder: The run.

    Raises:
        UserError: predictions=stored, and there are none of what is asked for.
    """
    if config.predictions not in ("auto", "stored", "computed"):
        raise UserError(f"predictions={config.predictions} is none of auto, stored, computed.")
    run_config = folder.read_config()
    asks_for_scores = (
        bool(config.thresholds or config.bootstrap)
        or chosen["metrics"] != "default"
        or not build.is_same(config.policy, run_config.policy)
    )
    same_data = chosen["data"] == "from_run" and build.is_same(config.data, run_config.data)
    has_tta = not config.tta._target_.endswith(".NoTTA") and chosen["tta"] != "from_run"
    have = (
        same_data
        and config.checkpoint == "best"
        and not has_tta
        and folder.predictions(config.split or "val").is_file()
        and folder.is_finished
        and "train_labels" in folder.read_summary()
    )
    if config.predictions == "stored" and not have:
        raise UserError(
            "predictions=stored: the run has stored only those of its best checkpoint on its own "
            f"{' and '.join(sorted(file.stem for file in folder.predictions('val').parent.glob('*.csv'))) or 'no'} "
            "images, without test-time augmentation. Leave it out."
        )
    return have and (config.predictions == "stored" or (config.predictions == "auto" and asks_for_scores))


def stored(config: DictConfig, folder: RunFolder) -> Predicted:
    """Return what the run has predicted; neither network nor images are needed."""
    split = config.split or "val"
    content = read_predictions(folder.predictions(split))
    table = LabelTable(
        content.names, content.names, content.classes, content.targets, np.array([split] * len(content.names))
    )
    summary = folder.read_summary()
    frequencies = np.array([summary["train_labels"][name] for name in content.classes], np.float64)
    policy = read_policy(folder.policy_file, content.classes)
    without = "" if config.tta._target_.endswith(".NoTTA") else ", without test-time augmentation"
    note = f", as the run has stored them{without} (predictions=computed: from the images)"
    facts = {"note": note, "predictions": "stored"}
    return Predicted(table, content.probabilities, frequencies, Found(policy), split, split == "val", facts)


def computed(config: DictConfig, chosen: Mapping[str, str]) -> Predicted:
    """Return what the network gives for images."""
    tta = build.build_tta(config.tta, config.data)
    run = load_run(config.run, config.checkpoint)
    everything = with_classes(build.build_table(config.data), run.classes)
    is_own = is_own_data(config.data, run.config.data, chosen)
    split = config.split or ("val" if is_own else "all")
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
    facts = {
        "note": ("" if isinstance(tta, NoTTA) else f" with {tta}") + TRAINED_ON.get(split, "") * is_own,
        "predictions": "computed",
        "image_size": run.image_size,
        "tta": plain_values(config)["tta"],
    }
    frequencies = shares(learned_from)
    return Predicted(rows, probabilities, frequencies, Found(run.policy), split, is_own and split == "val", facts)


def is_own_data(data: DictConfig, own: DictConfig, chosen: Mapping[str, str]) -> bool:
    """Whether the data are those that the run was trained on: not named anew, or named with the same root."""
    if chosen["data"] == "from_run":
        return True
    return bool(data._target_ == own._target_ and Path(data.root).absolute() == Path(own.root).absolute())


def with_classes(table: LabelTable, classes: tuple[str, ...]) -> LabelTable:
    """Return the table with its target columns in the order of a run's classes.

    Raises:
        UserError: The data has a class that the run does not know.
    """
    if unknown := [name for name in table.classes if name not in classes]:
        raise UserError(
            f"The data has classes that the run does not know: {first_few(unknown)}. Its classes: {', '.join(classes)}."
        )
    if absent := [name for name in classes if name not in table.classes]:
        log.info(f"The data has no class {first_few(absent)}: unknown there, and left out of the scores.")
    targets = np.full((len(table), len(classes)), UNKNOWN, np.int8)
    targets[:, [classes.index(name) for name in table.classes]] = table.targets
    return replace(table, classes=classes, targets=targets)


def choose_rows(table: LabelTable, split: str) -> LabelTable:
    """Return the rows to score.

    Raises:
        UserError: An unknown split, or one without rows.
    """
    if split not in ("train", "val", "test", "all"):
        raise UserError(f"split={split} is none of train, val, test, all.")
    rows = table if split == "all" else table.part(split)
    if not len(rows):
        there = ", ".join(name for name in (TRAIN, VAL, TEST) if (table.split == name).any())
        raise UserError(f"The data has no rows in split={split}. It has {there or 'no splits: split=all'}.")
    return rows
