"""Runs that were scored on the same images, beside one another."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polytag.comparison.row import Row
from polytag.comparison.settings import differing_values, target_name
from polytag.errors import UserError, first_few

if TYPE_CHECKING:
    from polytag.metrics.bootstrap import Difference
    from polytag.metrics.evaluation import Evaluation
    from polytag.metrics.scores import Score
    from polytag.run_folder import Predictions, RunFolder

log = logging.getLogger(__name__)

COMPARED = 10  # runs whose difference from the best one gets an interval
CHOSEN = 20  # runs of which any two can be compared image by image
SHOWN = 30  # runs whose classes are compared with those of the best one
POLICIES_DIFFER = (
    "so may scores of labels, such as F1, whatever the networks are worth. Scores of probabilities, such as map, do "
    "not go by them."
)


@dataclass(frozen=True)
class Compared:
    """Runs with predictions for the same images.

    Attributes:
        rows: The runs; the others are compared with the first.
        predictions: Of each, with images and classes in the first one's order.
        left_out: Other runs, and why.
    """

    rows: list[Row]
    predictions: "list[Predictions]"
    left_out: list[tuple[Row, str]]


def read_compared(rows: Sequence[Row], split: str) -> Compared:
    """Return those of some runs that have predictions for the images of the first that has any."""
    from polytag.run_folder import read_predictions

    found = Compared([], [], [])
    for row in rows:
        try:
            mine = _checked(read_predictions(file := row.folder.predictions(split)), file)
            if found.rows:
                _, mine = aligned(
                    [(str(found.rows[0].folder.path), found.predictions[0]), (str(row.folder.path), mine)]
                )
        except (UserError, OSError) as error:
            found.left_out.append((row, str(error)))
        else:
            found.rows.append(row)
            found.predictions.append(mine)
    return found


def _checked(predictions: "Predictions", file: Path) -> "Predictions":
    """Return predictions that scores can be taken of.

    Raises:
        UserError: There is no image, a probability is none, or a label is neither 1, 0 nor -1.
    """
    probabilities, targets = predictions.probabilities, predictions.targets
    if not len(targets) or not ((probabilities >= 0) & (probabilities <= 1)).all() or (abs(targets) > 1).any():
        raise UserError(f"{file} is damaged: it has no images, probabilities outside 0 to 1, or labels that are none.")
    return predictions


def aligned(runs: "Sequence[tuple[str, Predictions]]") -> "list[Predictions]":
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


def read_evaluations(compared: Compared, split: str, count: int) -> "list[tuple[Row, Evaluation]]":
    """Return the first runs with their labels; of one whose labels cannot be made, a warning says why."""
    found = []
    for row, predictions in list(zip(compared.rows, compared.predictions, strict=True))[:count]:
        try:
            found.append((row, evaluation_of(row.folder, predictions, split)))
        except Exception as error:  # a policy of the user's own, or files that were changed by hand: the others count
            log.warning(f"{row.folder.path} has no labels to compare: {error}")
            compared.left_out.append((row, f"its labels cannot be made: {error}"))
    return found


def class_scores_of(predictions: "Predictions") -> list[float]:
    """Return the average precision of each class, NaN without a positive."""
    import torch

    from polytag.metrics.evaluation import Evaluation
    from polytag.metrics.ranking_scores import class_average_precisions

    probabilities = torch.from_numpy(predictions.probabilities)
    evaluation = Evaluation(probabilities, torch.from_numpy(predictions.targets), probabilities >= 0.5)
    values: list[float] = class_average_precisions(evaluation)[0].tolist()
    return values


def differences_from_best(
    evaluations: "Sequence[tuple[Row, Evaluation]]", metrics: "Mapping[str, Score]", resamples: int, seed: int
) -> "list[tuple[Row, dict[str, Difference]]]":
    """Return for each run but the first how its scores differ from those of the first: the run minus the first."""
    from polytag.metrics.bootstrap import bootstrap, differences

    if not evaluations:
        return []
    (_, best), *others = evaluations
    values = bootstrap(metrics, best, resamples, seed)
    return [
        (row, differences(metrics, one, best, bootstrap(metrics, one, resamples, seed), values)) for row, one in others
    ]


def policy_names(rows: Sequence[Row]) -> list[str]:
    """Return how the labels of each run come about, equal texts where it is the same: `fixed threshold=0.3`."""
    nodes = [row.config.get("policy") for row in rows]
    return [f"{_kind(row)} {values}".rstrip() for row, values in zip(rows, differing_values(nodes), strict=True)]


def describe_policies(a: Row, b: Row) -> str:
    """Return what to say where the labels of two runs come about in different ways; empty where they do not."""
    names = policy_names([a, b])
    return "" if names[0] == names[1] else f"The policies differ (A has {names[0]}, B {names[1]}): {POLICIES_DIFFER}"


def _kind(row: Row) -> str:
    try:
        return str(json.loads(row.folder.policy_file.read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, LookupError, TypeError):
        return target_name(row.config.get("policy"))


def guessing(folder: "RunFolder", predictions: "Predictions", metrics: "Mapping[str, Score]") -> dict[str, float]:
    """Return the scores of the label frequencies of a run's training images, on the same images under its policy."""
    import numpy as np

    from polytag import build
    from polytag.metrics.baselines import FREQUENCY, trivial_baselines
    from polytag.metrics.scores import score_all

    config, shares = folder.read_config(), folder.read_summary().get("train_labels", {})
    if set(predictions.classes) - set(shares):  # the summary of another program
        return dict.fromkeys(metrics, float("nan"))
    asked = build.build_policy(config.policy, predictions.classes, config.data)
    frequencies = np.array([shares[name] for name in predictions.classes], np.float64)
    return score_all(metrics, trivial_baselines(frequencies, predictions.targets, asked)[FREQUENCY])
