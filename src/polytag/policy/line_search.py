"""Exact searches for thresholds: of all that differ in what they give, the best; of equally good ones the highest."""

import math
from collections.abc import Sequence

import numpy as np

from polytag.policy import Labels, Probabilities, Targets
from polytag.policy.f_measure import Counts, Floats, FMeasure
from polytag.policy.line import NEVER, Integers, Line, between, midway

ROUNDING = 1e-12  # a smaller difference between two F-scores is an accident of the arithmetic


def class_thresholds(probabilities: Probabilities, targets: Targets, measure: FMeasure) -> Floats:
    """Return the ``(L,)`` thresholds with the highest F-beta of each class: exact for the macro average.

    Half of the best F1 would be the best threshold if the probabilities were right (Lipton, Elkan and Narayanaswamy,
    "Thresholding Classifiers to Maximize F1 Score", 2014, https://arxiv.org/abs/1402.1892). They seldom are, so the
    data decide. A class without a positive gets infinity: it is never given.
    """
    lines = (Line(probabilities[:, column], targets[:, column]) for column in range(targets.shape[1]))
    return np.array([line.best(measure, _nothing(line)) for line in lines])


def _nothing(line: Line) -> Counts:
    """Return the counts of one class without a label given."""
    return Counts(np.zeros(1), np.zeros(1), np.array([float(len(line.positives))]))


def precision_thresholds(probabilities: Probabilities, targets: Targets, precision: float) -> Floats:
    """Return the ``(L,)`` thresholds that find most positives of each class, of those with at least a precision.

    Of equally good ones the highest; infinity where there is none.
    """
    thresholds = np.full(targets.shape[1], NEVER)
    for column in range(targets.shape[1]):
        line = Line(probabilities[:, column], targets[:, column])
        cuts = line.positives
        enough = np.flatnonzero(line.right(cuts) >= precision * line.given(cuts) * (1 - ROUNDING))
        if len(enough):
            thresholds[column] = between([line], cuts[enough[0]])
    return thresholds


def common_threshold(
    probabilities: Probabilities,
    targets: Targets,
    measure: FMeasure,
    columns: Integers | None = None,
    given: Labels | None = None,
) -> float:
    """Return the one threshold with the highest F-beta under any average.

    Args:
        probabilities: ``(N, L)``.
        targets: ``(N, L)`` int8, -1 where unknown.
        measure: F-beta and its average.
        columns: The classes that the threshold is for; None for all.
        given: ``(N, L)`` labels that other classes get anyway; None for none.

    Returns:
        The threshold; infinity where giving no label at all is best, NaN where those classes have no positive to tell.
    """
    columns = np.arange(targets.shape[1]) if columns is None else columns
    if not (targets[:, columns] == 1).any():
        return float("nan")
    if measure.average == "macro":
        return _best_for_classes([Line(probabilities[:, column], targets[:, column]) for column in columns], measure)
    base = measure.counts(np.zeros(targets.shape, bool) if given is None else given, targets)
    return best_threshold(probabilities[:, columns], targets[:, columns], measure, base)


def best_threshold(probabilities: Probabilities, targets: Targets, measure: FMeasure, base: Counts) -> float:
    """Return the threshold of some classes that is best together with the labels that others get.

    Args:
        probabilities: ``(N, C)``, of the classes that the threshold is for.
        targets: ``(N, C)`` int8, -1 where unknown.
        measure: F-beta under the micro or the image average.
        base: ``(1,)`` or ``(N,)`` counts of all classes, with the labels of the others given.
    """
    if measure.average == "micro":
        return Line(probabilities, targets).best(measure, base)
    return _best_for_images(probabilities, targets, measure, base)


def _best_for_classes(lines: Sequence[Line], measure: FMeasure) -> float:
    """Return the threshold with the highest sum of the classes' F-beta.

    The sum can change at every cut of every class, of which there are many. So they are taken in blocks first: inside
    one, no cut gives fewer labels than the first or more right ones than the last. Blocks that cannot have the best cut
    by that are left out.
    """
    cuts = np.sort(np.concatenate([line.positives for line in lines]))[::-1]
    size = math.isqrt(len(cuts))
    ends = np.minimum(np.arange(size, len(cuts) + size, size), len(cuts)) - 1
    first, last = cuts[::size], cuts[ends]
    hopeful = _sums(lines, measure, first, last) >= _sums(lines, measure, first, first).max() - ROUNDING * len(lines)
    cuts = cuts[np.repeat(hopeful, size)[: len(cuts)]]
    return between(lines, cuts[_first_best(_sums(lines, measure, cuts, cuts), len(lines))])


def _sums(lines: Sequence[Line], measure: FMeasure, cuts: Probabilities, lower: Probabilities) -> Floats:
    """Return ``(K,)`` sums of the classes' F-beta if cuts gave as many right labels as lower cuts give."""
    total = np.zeros(len(cuts))
    for line in lines:
        if len(line.positives):  # the macro average leaves the others out
            total += measure.of_counts(line.right(lower), line.given(cuts), _nothing(line).positives)
    return total


def _best_for_images(probabilities: Probabilities, targets: Targets, measure: FMeasure, base: Counts) -> float:
    """Return the threshold with the highest sum of the images' F-beta.

    Each label that is given changes the F-beta of its image. From the likeliest label of all images down, these changes
    add up to the sum.
    """
    values = np.where(targets >= 0, probabilities, -1)
    order = np.argsort(-values, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    right = base.right[:, None] + np.cumsum(np.take_along_axis(targets == 1, order, axis=1), axis=1)
    given = base.given[:, None] + np.arange(1, values.shape[1] + 1)
    scores = measure.of_counts(right, given, base.positives[:, None])
    changes = np.diff(scores, axis=1, prepend=measure.of_counts(*base)[:, None])[values >= 0]
    values = values[values >= 0]
    order = np.argsort(-values)
    values = np.append(values[order], -1)
    total = np.append(0.0, np.cumsum(changes[order]))
    is_cut = np.append(True, values[1:] != values[:-1])  # no threshold tells equal probabilities apart
    place = _first_best(np.where(is_cut, total, -np.inf), len(base.given))
    return midway(max(0.0, float(values[place])), float(values[place - 1])) if place else NEVER


def _first_best(scores: Floats, summands: int) -> int:
    """Return the first place of the highest score, of sums of F-scores."""
    return int(np.argmax(scores >= scores.max() - ROUNDING * summands))
