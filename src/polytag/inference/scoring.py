"""Scores of probabilities: the run's, and those of the trivial baselines beside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from polytag.data.label_table import LabelTable
from polytag.metrics.baselines import trivial_baselines
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all, undefined_classes
from polytag.policy import Policy
from polytag.run_folder import RunFolder, write_predictions


@dataclass(frozen=True)
class Result:
    """The predictions for some rows and what they score.

    Attributes:
        table: The N rows.
        probabilities: ``(N, L)``.
        scores: By metric name, without the name of the split.
        baselines: The same of each trivial predictor.
        undefined: Classes without a positive in these rows, which macro averages leave out.
    """

    table: LabelTable
    probabilities: npt.NDArray[np.float32]
    scores: dict[str, float]
    baselines: dict[str, dict[str, float]]
    undefined: tuple[str, ...]

    def write(self, folder: RunFolder, split: str) -> None:
        """Write the predictions of a split into a run folder."""
        table = self.table
        write_predictions(
            folder.predictions(split), table.names, table.classes, self.probabilities, targets=table.targets
        )


def score(
    table: LabelTable,
    probabilities: npt.NDArray[np.float32],
    train_targets: npt.NDArray[np.uint8],
    policy: Policy,
    metrics: Mapping[str, Score],
) -> Result:
    """Score probabilities on the rows of a table.

    Args:
        table: The N rows.
        probabilities: ``(N, L)``.
        train_targets: ``(M, L)`` what the label-frequency baseline learns from.
        policy: How probabilities become labels.
        metrics: Name -> score.
    """
    predicted, targets = torch.from_numpy(probabilities), torch.from_numpy(table.targets)
    return Result(
        table,
        probabilities,
        score_all(metrics, Evaluation(predicted, targets, policy.decide(predicted))),
        trivial_baselines(torch.from_numpy(train_targets), targets, policy, metrics),
        undefined_classes(targets, table.classes),
    )
