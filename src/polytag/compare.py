"""`compare runs=[A,B]`: is one run better than another, or was it luck?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError, first_few

if TYPE_CHECKING:
    from polytag.metrics.evaluation import Evaluation
    from polytag.metrics.scores import Score
    from polytag.run_folder import Predictions, RunFolder


@command("compare")
def main(config: DictConfig) -> None:
    """Score all runs on the same resamples of the images; print and write the differences from the first run."""
    if OmegaConf.is_missing(config, "runs") or isinstance(config.runs, str) or len(config.runs) < 2:
        raise UserError("Which runs? compare runs=[A,B], the paths that `train` printed at their ends.")
    from polytag import build, check_config
    from polytag.metrics.bootstrap import checked_resamples, paired_bootstrap
    from polytag.run_folder import RunFolder, read_predictions, refuse_existing
    from polytag.tracking import console

    check_config.check_keys(config, "compare")
    resamples = checked_resamples(config.bootstrap)
    if config.out is not None:
        refuse_existing(Path(config.out), config.overwrite)
    folders = [RunFolder.existing(run) for run in config.runs]
    predictions = [read_predictions(folder.predictions(config.split)) for folder in folders]
    first, *others = aligned(list(zip(config.runs, predictions, strict=True)))
    metrics, written = build.build_metrics(config), []
    a, guess = evaluation_of(folders[0], first, config.split), guessing(folders[0], first, metrics)
    for folder, prediction in zip(folders[1:], others, strict=True):
        b = evaluation_of(folder, prediction, config.split)
        found = paired_bootstrap(metrics, a, b, resamples, config.bootstrap_seed)
        title = f"A = {folders[0].path}, B = {folder.path}: the same {len(a):,} {config.split} images"
        console.print_differences(title, found, guess)
        if line := describe_policies(folders[0], folder):
            print(line)
        numbers = {name: asdict(difference) for name, difference in found.items()}
        written.append({"a": str(folders[0].path), "b": str(folder.path), "images": len(a), "differences": numbers})
    if config.out is not None:
        folders[0].write_json(Path(config.out), {"split": config.split, "pairs": written, "label_frequency": guess})
        print(f"Written to {config.out}")


def aligned(runs: Sequence[tuple[str, "Predictions"]]) -> list["Predictions"]:
    """Return the predictions with images and classes in the order of the first run's.

    Raises:
        UserError: The runs were not scored on the same images with the same labels.
    """
    import numpy as np

    first_name, first = runs[0]
    parts = []
    for name, one in runs:
        if set(one.classes) != set(first.classes):
            odd = first_few(sorted(set(one.classes) ^ set(first.classes)))
            raise UserError(f"{first_name} and {name} have different classes ({odd}): there is nothing to compare.")
        row_of = {image: row for row, image in enumerate(one.names.tolist())}
        if len(row_of) < len(one.names) or set(row_of) != set(first.names.tolist()):
            shared = len(set(row_of) & set(first.names.tolist()))
            raise UserError(
                f"{first_name} was scored on {len(first.names):,} images and {name} on {len(one.names):,}, of which "
                f"{shared:,} are the same: runs are compared on the same images. Train them with the same data.root, "
                "data.split_seed, data.fold and data.limit."
            )
        rows = np.array([row_of[image] for image in first.names.tolist()])
        cells = np.ix_(rows, np.array([one.classes.index(label) for label in first.classes]))
        if (one.targets[cells] != first.targets).any():
            raise UserError(
                f"{first_name} and {name} have different labels for the same images: train one of them anew."
            )
        parts.append(type(one)(first.names, first.classes, one.probabilities[cells], first.targets))
    return parts


def evaluation_of(folder: "RunFolder", predictions: "Predictions", split: str) -> "Evaluation":
    """Return a run's predictions with the labels of its policy; of searched thresholds, those of held-out folds."""
    import torch

    from polytag import build
    from polytag.metrics.evaluation import Evaluation
    from polytag.policy.cross_fit import held_out_labels
    from polytag.policy.stored import read_policy

    if split == "val":
        config = folder.read_config()
        asked = build.build_policy(config.policy, predictions.classes, config.data)
        labels = held_out_labels(asked, predictions.probabilities, predictions.targets)
    else:
        labels = read_policy(folder.policy_file, predictions.classes).decide(predictions.probabilities)
    tensors = (torch.from_numpy(values) for values in (predictions.probabilities, predictions.targets, labels))
    return Evaluation(*tensors)


def describe_policies(a: "RunFolder", b: "RunFolder") -> str:
    """Return what to say where the labels of two runs come about in different ways; empty where they do not."""
    from polytag import build

    if build.is_same(a.read_config().policy, b.read_config().policy):
        return ""
    kinds = [json.loads(folder.policy_file.read_text(encoding="utf-8"))["kind"] for folder in (a, b)]
    named = f"A has {kinds[0]}, B {kinds[1]}" if kinds[0] != kinds[1] else f"both are {kinds[0]}, with other values"
    return (
        f"The policies differ ({named}): so may scores of labels, such as F1, whatever the networks are worth. Scores "
        "of probabilities, such as map, do not go by them."
    )


def guessing(folder: "RunFolder", predictions: "Predictions", metrics: Mapping[str, "Score"]) -> dict[str, float]:
    """Return the scores of the label frequencies of a run's training images, on the same images under its policy."""
    import numpy as np

    from polytag import build
    from polytag.metrics.baselines import FREQUENCY, trivial_baselines
    from polytag.metrics.scores import score_all

    config, shares = folder.read_config(), folder.read_summary()["train_labels"]
    asked = build.build_policy(config.policy, predictions.classes, config.data)
    frequencies = np.array([shares[name] for name in predictions.classes], np.float64)
    return score_all(metrics, trivial_baselines(frequencies, predictions.targets, asked)[FREQUENCY])


if __name__ == "__main__":
    main()
