"""How far scores would move with other images of the same kind: the bootstrap over images.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: images are drawn with replacement, as many as there
are, and scored again and again. All resamples of a chunk are scored at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polytag.errors import UserError
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, is_less_better

LEAST = 20  # resamples: of fewer, not one lies beyond either end of a 95 % interval
CHUNK = 2**23  # probabilities times weights at a time: 64 MiB
Floats = npt.NDArray[np.float64]


def checked_resamples(resamples: object) -> int:
    """Return a number of resamples that somebody asks for.

    Raises:
        UserError: It is no whole number, or too small for the ends of an interval.
    """
    if not isinstance(resamples, int) or isinstance(resamples, bool) or resamples < LEAST:
        raise UserError(f"bootstrap={resamples} has to be a number of resamples, {LEAST} or more, such as 1000.")
    return resamples


def resample(images: int, resamples: int, seed: int, chunk: int) -> Iterator[Tensor]:
    """Yield ``(B, N)`` float64 weights, how often each of N images was drawn: B = `chunk` resamples, at last fewer.

    The draws do not depend on the chunk.

    Raises:
        UserError: Less than one resample, or no image.
    """
    if resamples < 1:
        raise UserError(f"bootstrap={resamples} has to be 1 or more resamples, such as 1000.")
    if not images:
        raise UserError("There is no image to draw resamples from.")
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(0, images, (rows, images)) + np.arange(rows)[:, None] * images
        counts = np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)
        yield torch.from_numpy(counts.astype(np.float64))


def bootstrap(
    metrics: Mapping[str, Score], evaluation: Evaluation, resamples: int = 1000, seed: int = 0
) -> dict[str, Floats]:
    """Return the ``(resamples,)`` values of each score; NaN where a resample leaves it undefined."""
    values: dict[str, list[Floats]] = {name: [] for name in metrics}
    weighable = {name for name, score in metrics.items() if len(evaluation) and _takes_weights(score, evaluation)}
    chunk = max(1, CHUNK // max(1, evaluation.targets.numel()))
    for weights in resample(len(evaluation), resamples, seed, chunk):
        weighted = evaluation.resampled(weights)
        for name, score in metrics.items():
            values[name].append(_all_at_once(score, weighted) if name in weighable else _one_by_one(score, weighted))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def _takes_weights(score: Score, evaluation: Evaluation) -> bool:
    """Whether a score of two weightings is two numbers; one that knows nothing of weights gives a single one."""
    both = evaluation.resampled(torch.ones(2, len(evaluation), dtype=torch.float64))
    return torch.as_tensor(score(both)).shape == (2,)


def _all_at_once(score: Score, weighted: Evaluation) -> Floats:
    return np.asarray(score(weighted).double().numpy())


def _one_by_one(score: Score, weighted: Evaluation) -> Floats:
    """Return a score of the rows of each resample."""
    assert weighted.weights is not None
    images = torch.arange(len(weighted))
    rows = (images.repeat_interleave(counts.long()) for counts in weighted.weights)
    return np.array([float(score(weighted.rows(index))) for index in rows])


def interval(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of resampled values; NaN where a score has none."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    tail = 50 * (1 - confidence)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """How a score of A differs from that of B on the same images.

    Attributes:
        a: The score of A.
        b: The score of B.
        low: Lower end of the 95 % interval of A - B.
        high: Its upper end.
        a_is_better: Share of the resamples in which A scores better, ties counting half: how sure it is that A would
            score better on other images of the same kind. Better is lower where `less_is_better` marks the score.
    """

    a: float
    b: float
    low: float
    high: float
    a_is_better: float


def paired_bootstrap(
    metrics: Mapping[str, Score], a: Evaluation, b: Evaluation, resamples: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    """Compare two models on the same images: both are scored on each resample, and the differences count.

    Images that are hard for both then move both scores alike and cancel out (Koehn 2004,
    https://aclanthology.org/W04-3250/).

    Args:
        metrics: The scores by name.
        a: The predictions of A.
        b: Those of B, for the same images in the same order.
        resamples: How many.
        seed: Of the resamples.
    """
    values_a, values_b = (bootstrap(metrics, one, resamples, seed) for one in (a, b))
    return differences(metrics, a, b, values_a, values_b)


def differences(
    metrics: Mapping[str, Score],
    a: Evaluation,
    b: Evaluation,
    values_a: Mapping[str, Floats],
    values_b: Mapping[str, Floats],
) -> dict[str, Difference]:
    """Return how scores differ by what `bootstrap` found for both, of the same resamples."""
    assert torch.equal(a.targets, b.targets), "paired: the same images with the same labels"
    found = {}
    for name, score in metrics.items():
        gap = values_a[name] - values_b[name]
        defined = gap[~np.isnan(gap)]
        wins = -defined if is_less_better(score) else defined
        better = float(((wins > 0) + 0.5 * (wins == 0)).mean()) if len(wins) else float("nan")
        found[name] = Difference(float(score(a)), float(score(b)), *interval(gap), better)
    return found
