"""Predictions in the order of their probabilities: what curves, average precision and ROC AUC are computed from."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

TINY = 1e-300  # so that nothing is divided by 0


@dataclass(frozen=True)
class Ranking:
    """The M known entries of one class, or of all classes, from the highest probability down; H of them are hits.

    A threshold is a probability that a hit has. Equal probabilities share it: no threshold tells them apart, so they
    count together. From one threshold to the next precision only falls and recall stays, so sums are needed at these G
    places alone.

    Attributes:
        images: ``(M,)`` int64, whose prediction it is.
        runs: ``(2G + 1,)`` int64, first entry above the first threshold, at it, between it and the second, at that, and
            so on, and below the last; a run may be empty.
        hits: ``(H,)`` int64, whose prediction each hit is.
        hit_runs: ``(G,)`` int64, first hit at each threshold.
    """

    images: Tensor
    runs: Tensor
    hits: Tensor
    hit_runs: Tensor

    def sums(self, weights: Tensor) -> "Sums":
        """Return the sums down the ranking, each image counted by its ``(N, B)`` float64 weight, images first."""
        entries = embedding_bag(self.images, weights, self.runs, mode="sum").cumsum(0)
        hits = embedding_bag(self.hits, weights, self.hit_runs, mode="sum")
        right = hits.cumsum(0)
        above, given = entries[0:-1:2], entries[1::2]
        positives = hits.sum(0)
        return Sums(hits.T, right.T, given.T, (above - (right - hits)).T, positives, entries[-1] - positives)


@dataclass(frozen=True)
class Sums:
    """Sums at the G thresholds of a ranking for B weightings of the images; G may be 0.

    Attributes:
        hits: ``(B, G)`` weight of the hits at each threshold.
        right: ``(B, G)`` weight of the hits from the top down to it: true positives.
        given: ``(B, G)`` weight of all entries down to it: true and false positives.
        wrong_above: ``(B, G)`` weight of the misses above it.
        positives: ``(B,)`` weight of all hits.
        negatives: ``(B,)`` weight of all misses.
    """

    hits: Tensor
    right: Tensor
    given: Tensor
    wrong_above: Tensor
    positives: Tensor
    negatives: Tensor

    def precision(self) -> Tensor:
        """Return the ``(B, G)`` precision of each threshold; 0 where nothing counts down to it."""
        return self.right / self.given.clamp(min=TINY)

    def recall(self) -> Tensor:
        """Return the ``(B, G)`` recall of each threshold; 0 without a positive."""
        return self.right / self.positives.clamp(min=TINY).unsqueeze(1)


def rank_columns(scores: Tensor, hits: Tensor, known: Tensor) -> list[Ranking]:
    """Return the ranking of each column of ``(N, L)`` scores, without what is unknown."""
    ordered, order = scores.masked_fill(~known, -1.0).sort(dim=0, descending=True, stable=True)
    counts = known.sum(0).tolist()
    columns = ((ordered[:count, column], order[:count, column], column) for column, count in enumerate(counts))
    return [_ranking(scores_of_class, images, hits[images, column]) for scores_of_class, images, column in columns]


def rank_together(scores: Tensor, hits: Tensor, known: Tensor) -> Ranking:
    """Return the one ranking of all known entries of ``(N, L)`` scores."""
    ordered, order = scores[known].sort(descending=True, stable=True)
    return _ranking(ordered, known.nonzero()[:, 0][order], hits[known][order])


def _ranking(ordered: Tensor, images: Tensor, hits: Tensor) -> Ranking:
    start, end = (bounds[0, hits] for bounds in tie_bounds(ordered.unsqueeze(0)))
    first = torch.ones_like(start, dtype=torch.bool)
    first[1:] = start[1:] != start[:-1]
    runs = torch.stack([start[first], end[first] + 1], 1).flatten()
    top = torch.zeros(1, dtype=torch.int64, device=runs.device)
    return Ranking(images, torch.cat([top, runs]), images[hits], first.nonzero()[:, 0])


def tie_bounds(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Return for ``(K, M)`` sorted rows the places of the first and the last entry that equals each one."""
    places = torch.arange(ordered.shape[1], device=ordered.device).expand_as(ordered)
    differs = ordered[:, 1:] != ordered[:, :-1]
    edge = torch.ones_like(ordered[:, :1], dtype=torch.bool)
    if not ordered.shape[1]:
        return places, places
    start = torch.where(torch.cat([edge, differs], 1), places, 0).cummax(1).values
    last = torch.where(torch.cat([differs, edge], 1), places, ordered.shape[1])
    return start, last.flip(1).cummin(1).values.flip(1)
