"""What a fixed threshold would score, for several of them: the same predictions, decided anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from polytag.errors import UserError
from polytag.metrics.baselines import FREQUENCY, NOTHING, trivial_baselines
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all
from polytag.policy.fixed import FixedPolicy

CURVE = tuple(round(step / 100, 2) for step in range(101))


@dataclass(frozen=True)
class ThresholdScores:
    """Scores at T thresholds.

    Attributes:
        thresholds: The T thresholds, in rising order.
        run: Metric -> the T scores of the run, for the metrics that go by the policy.
        frequency: The same of the label frequencies.
        nothing: Metric -> the score of predicting nothing, whatever the threshold.
    """

    thresholds: tuple[float, ...]
    run: dict[str, list[float]]
    frequency: dict[str, list[float]]
    nothing: dict[str, float]

    def rows(self, wanted: Sequence[float]) -> list[dict[str, float | str]]:
        """Return a table: one row a wanted threshold for the run, then the baselines."""
        places = [self.thresholds.index(threshold) for threshold in wanted]
        return [
            *(self._row("this run", self.run, place) for place in places),
            {"predictor": NOTHING, "threshold": "-", **self.nothing},
            *(self._row(FREQUENCY, self.frequency, place) for place in places),
        ]

    def _row(self, predictor: str, scores: Mapping[str, list[float]], place: int) -> dict[str, float | str]:
        threshold = f"{self.thresholds[place]:g}"
        return {"predictor": predictor, "threshold": threshold} | {name: scores[name][place] for name in scores}


def checked_thresholds(asked: Sequence[float] | float | None) -> tuple[float, ...]:
    """Return the thresholds that somebody asks for, one or several or none, in rising order.

    Raises:
        UserError: One is no probability.
    """
    thresholds = [] if asked is None else list(asked) if isinstance(asked, Sequence) else [asked]
    if asked is not None and not thresholds:
        raise UserError("thresholds=[] names none: thresholds=[0.1,0.2], or leave it out.")
    if wrong := [one for one in thresholds if isinstance(one, bool | str) or not 0 <= one <= 1]:
        raise UserError(f"thresholds={thresholds}: {wrong[0]} is no probability, such as 0.2.")
    return tuple(sorted({float(one) for one in thresholds}))


def score_thresholds(
    probabilities: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int8],
    frequencies: npt.NDArray[np.floating],
    metrics: Mapping[str, Score],
    wanted: Sequence[float],
) -> ThresholdScores:
    """Score fixed thresholds: those that are wanted and every hundredth.

    Args:
        probabilities: ``(N, L)``.
        targets: ``(N, L)`` int8, -1 where unknown.
        frequencies: ``(L,)`` share of the training images that have each label.
        metrics: Name -> score. Those that no threshold changes are left out.
        wanted: Thresholds from 0 to 1.
    """
    thresholds = tuple(sorted({*CURVE, *wanted}))
    policies = [FixedPolicy(threshold) for threshold in thresholds]
    predicted, truth = torch.from_numpy(probabilities), torch.from_numpy(targets)
    by_policy = _depend_on_policy(metrics, predicted, truth)
    guesses = [trivial_baselines(frequencies, targets, policy) for policy in policies]
    return ThresholdScores(
        thresholds,
        _columns([score_all(by_policy, Evaluation(predicted, truth, policy.decide(predicted))) for policy in policies]),
        _columns([score_all(by_policy, guess[FREQUENCY]) for guess in guesses]),
        score_all(by_policy, guesses[0][NOTHING]),
    )


def _depend_on_policy(metrics: Mapping[str, Score], predicted: torch.Tensor, truth: torch.Tensor) -> dict[str, Score]:
    """Return the metrics that some other decisions would change: none, all, every other one, or the right ones."""
    none = torch.zeros_like(predicted, dtype=torch.bool)
    half = none.clone()
    half.view(-1)[::2] = True
    found = [score_all(metrics, Evaluation(predicted, truth, given)) for given in (none, ~none, half, truth == 1)]
    return {name: score for name, score in metrics.items() if len({f"{scores[name]:.9g}" for scores in found}) > 1}


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
