"""Scores of probabilities: the run's, and those of the trivial baselines beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from polytag.data.label_table import ABSENT, LabelTable
from polytag.metrics.baselines import trivial_baselines
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all, undefined_classes
from polytag.policy import Labels, Policy
from polytag.policy.search import Search
from polytag.run_folder import RunFolder, write_predictions


@dataclass(frozen=True)
class Result:
    """The predictions for some rows and what they score.

    Attributes:
        table: The N rows.
        probabilities: ``(N, L)``.
        decisions: ``(N, L)`` the labels that are scored. Where thresholds were searched on these very rows, each row's
            labels come from thresholds that were found without it.
        scores: By metric name, without the name of the split.
        optimistic: The same for the labels by the thresholds found on these very rows; None where there are none.
        baselines: The scores of each trivial predictor.
        undefined: Classes without a positive in these rows, which macro averages leave out.
        undefined_auc: Classes without a negative, which have no ROC curve either.
    """

    table: LabelTable
    probabilities: npt.NDArray[np.float32]
    decisions: Labels
    scores: dict[str, float]
    optimistic: dict[str, float] | None
    baselines: dict[str, dict[str, float]]
    undefined: tuple[str, ...]
    undefined_auc: tuple[str, ...] = ()

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the scores were computed from."""
        return _evaluation(self.table, self.probabilities, self.decisions)

    def columns(self) -> dict[str, dict[str, float]]:
        """Return the scores as the columns of a table, the run's own first."""
        if self.optimistic is None:
            return {"this run": self.scores} | self.baselines
        return {"this run, honest": self.scores, "optimistic": self.optimistic} | self.baselines

    def notes(self) -> list[str]:
        """Return what has to be said below a table of these scores."""
        notes = []
        if self.undefined:
            notes.append(
                f"Left out of macro averages, because no image here is known to have them: {', '.join(self.undefined)}."
            )
        if self.undefined_auc and "auc" in self.scores:
            notes.append(f"Left out of auc, because every image here carries them: {', '.join(self.undefined_auc)}.")
        return notes

    def write(self, folder: RunFolder, split: str) -> None:
        """Write the predictions of a split into a run folder."""
        table = self.table
        write_predictions(
            folder.predictions(split), table.names, table.classes, self.probabilities, targets=table.targets
        )


def score(
    table: LabelTable,
    probabilities: npt.NDArray[np.float32],
    labels: Labels,
    flattered: Policy | None,
    asked: Policy | Search,
    frequencies: npt.NDArray[np.floating],
    metrics: Mapping[str, Score],
) -> Result:
    """Score probabilities on the rows of a table.

    Args:
        table: The N rows.
        probabilities: ``(N, L)``.
        labels: ``(N, L)`` the labels to score.
        flattered: The policy, where it was found on these very rows.
        asked: How the policy came about: the baselines' thresholds come about in the same way.
        frequencies: ``(L,)`` share of the training images that have each label.
        metrics: Name -> score.
    """
    optimistic = None
    if flattered is not None:
        optimistic = score_all(metrics, _evaluation(table, probabilities, flattered.decide(probabilities)))
    baselines = trivial_baselines(frequencies, table.targets, asked)
    return Result(
        table,
        probabilities,
        labels,
        score_all(metrics, _evaluation(table, probabilities, labels)),
        optimistic,
        {name: score_all(metrics, guess) for name, guess in baselines.items()},
        undefined_classes(torch.from_numpy(table.targets), table.classes),
        undefined_classes(torch.from_numpy(table.targets == ABSENT), table.classes),
    )


def _evaluation(table: LabelTable, probabilities: npt.NDArray[np.float32], decisions: Labels) -> Evaluation:
    return Evaluation(torch.from_numpy(probabilities), torch.from_numpy(table.targets), torch.from_numpy(decisions))
