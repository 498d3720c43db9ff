"""What guessing scores: a number says little until it stands beside these."""

from collections.abc import Mapping

import torch
from torch import Tensor

from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all
from polytag.policy import Policy


def trivial_baselines(
    train_targets: Tensor, evaluation_targets: Tensor, policy: Policy, metrics: Mapping[str, Score]
) -> dict[str, dict[str, float]]:
    """Score two guesses that never look at an image.

    Args:
        train_targets: ``(M, L)`` multi-hot targets to take the label frequencies from.
        evaluation_targets: ``(N, L)`` multi-hot targets to score on.
        policy: Turns the probabilities into labels.
        metrics: The scores by name.

    Returns:
        The scores of `predict nothing` (all probabilities 0) and of `label frequency` (a label's share of the training
        images is its probability for every image), by the name of the guess.
    """
    assert len(train_targets), "label frequencies need training rows"
    guesses = {
        "predict nothing": torch.zeros(train_targets.shape[1]),
        "label frequency": train_targets.float().mean(0),
    }
    scores = {}
    for name, guess in guesses.items():
        probabilities = guess.expand(len(evaluation_targets), -1)
        evaluation = Evaluation(probabilities, evaluation_targets, policy.decide(probabilities))
        scores[name] = score_all(metrics, evaluation)
    return scores
