"""Thresholds of the classes under averages that tie them together: one at a time, each by an exact search.

Under the micro and the image average the best threshold of a class depends on the others. Each class in turn gets the
best threshold for the others as they are, until no single change makes the score larger.

Under the image average that is a local optimum; another set of thresholds may be better still. Under the micro average
it is the best of all. F is a sum over the classes by another sum there, A / B, and where no class can raise it by
itself, none can raise its part of A - F B, which is 0 as a whole: then no set of thresholds has a larger ratio. That
its global maximum can be had at little cost is shown in Pillai, Fumera and Roli, "Threshold optimisation for
multi-label classifiers", Pattern Recognition 46 (7), 2013, https://iris.unica.it/handle/11584/103090.
"""

import numpy as np

from polytag.policy import Labels, Probabilities, Targets
from polytag.policy.f_measure import Counts, Floats, FMeasure
from polytag.policy.line import Integers
from polytag.policy.line_search import best_threshold


def ascend(
    probabilities: Probabilities,
    targets: Targets,
    measure: FMeasure,
    start: Floats,
    columns: Integers,
    given: Labels,
) -> Floats:
    """Return ``(L,)`` thresholds that no single change improves.

    Args:
        probabilities: ``(N, L)``.
        targets: ``(N, L)`` int8, -1 where unknown.
        measure: F-beta under the micro or the image average.
        start: ``(L,)`` thresholds to start from; infinity for the classes of `given`.
        columns: The classes whose thresholds may change.
        given: ``(N, L)`` labels of classes that have no threshold; False in all others.
    """
    assert measure.average in ("micro", "images"), measure.average
    thresholds = start.copy()
    labels = given | (probabilities >= thresholds)
    counts = measure.counts(labels, targets)
    score, improves = measure.of_counts(*counts).sum(), True
    while improves:
        improves = False
        for column in columns:
            own, truth = probabilities[:, column], targets[:, column]
            others = _add(-1, labels[:, column], truth, counts, measure)
            threshold = np.float64(best_threshold(own[:, None], truth[:, None], measure, others))
            changed = _add(1, own >= threshold, truth, others, measure)
            # The score of a set of labels is always the same number, and it only rises: the search ends.
            if (higher := measure.of_counts(*changed).sum()) > score:
                thresholds[column], labels[:, column] = threshold, own >= threshold
                counts, score, improves = changed, higher, True
    return thresholds


def _add(times: int, labels: Labels, targets: Targets, counts: Counts, measure: FMeasure) -> Counts:
    """Return the counts with the ``(N,)`` labels of one class added once, or taken away (-1 times)."""
    more = measure.counts(labels[:, None], targets[:, None])
    return Counts(counts.right + times * more.right, counts.given + times * more.given, counts.positives)
