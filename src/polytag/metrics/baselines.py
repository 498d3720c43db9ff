"""What guessing scores: a number says little until it stands beside these."""

import numpy as np
import numpy.typing as npt
import torch

from polytag.metrics.evaluation import Evaluation
from polytag.policy import Policy
from polytag.policy.cross_fit import held_out_labels
from polytag.policy.search import Search

NOTHING, FREQUENCY = "predict nothing", "label frequency"


def trivial_baselines(
    frequencies: npt.NDArray[np.floating], targets: npt.NDArray[np.int8], asked: Policy | Search
) -> dict[str, Evaluation]:
    """Return two guesses that never look at an image, beside the truth.

    Args:
        frequencies: ``(L,)`` share of the training images that have each label; NaN, where none is known, counts as 0.
        targets: ``(N, L)`` int8 targets to score on, -1 where unknown.
        asked: How probabilities become labels. Where thresholds are searched, so are those of the guess, and held out
            from its labels as the network's are.

    Returns:
        By the name of the guess: `predict nothing` (no label for any image), `label frequency` (a label's share of the
        training images is its probability for every image).
    """
    truth = torch.from_numpy(targets)
    nothing = torch.zeros(targets.shape)
    constant = np.broadcast_to(np.nan_to_num(frequencies).astype(np.float32), targets.shape).copy()
    decisions = torch.from_numpy(held_out_labels(asked, constant, targets))
    return {
        NOTHING: Evaluation(nothing, truth, nothing.bool()),
        FREQUENCY: Evaluation(torch.from_numpy(constant), truth, decisions),
    }
