"""Thresholds one at a time, against trying every one, and every set of them."""

from itertools import product

import numpy as np
import pytest
from fake.predictions import GRID, cuts, neighbours, predictions

from polytag.policy.coordinate_ascent import ascend
from polytag.policy.f_measure import FMeasure

MEASURES = [FMeasure(1, "micro"), FMeasure(2, "micro"), FMeasure(1, "images"), FMeasure(2, "images", 1)]
NEVER = np.inf


def case(seed, grid=GRID):
    """Return predictions, the columns to search, labels that others get, and a start."""
    probabilities, targets = predictions(seed, grid)
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["searched", "fixed", "given"], targets.shape[1], p=[0.7, 0.15, 0.15])
    given = (rng.random(targets.shape) < 0.4) & (kinds == "given")
    start = np.where(kinds == "given", NEVER, rng.choice([0.2, 0.5, 0.8, NEVER], targets.shape[1]))
    return probabilities, targets, np.flatnonzero(kinds == "searched"), given, start


@pytest.mark.parametrize("grid", [GRID, neighbours()], ids=["ties", "neighbours"])
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_no_single_change_is_better_and_the_rest_stays(measure, grid):
    for seed in range(50):
        probabilities, targets, columns, given, start = case(seed, grid)

        def score(thresholds, p=probabilities, t=targets, g=given):
            return measure.score(g | (p >= thresholds), t)

        found = ascend(probabilities, targets, measure, start, columns, given)
        others = np.setdiff1d(np.arange(targets.shape[1]), columns)
        assert np.array_equal(found[others], start[others])
        assert score(found) >= score(start)
        for column in columns:
            for cut in cuts(probabilities[:, column]):
                changed = found.copy()
                changed[column] = cut
                assert score(changed) <= score(found) + 1e-12, (seed, column, cut)


@pytest.mark.parametrize("beta", [1, 2])
def test_under_the_micro_average_no_set_of_thresholds_is_better(beta):
    measure = FMeasure(beta, "micro")
    for seed in range(40):
        probabilities, targets, columns, given, start = case(seed)
        probabilities, targets, given = probabilities[:5], targets[:5], given[:5]
        found = ascend(probabilities, targets, measure, start, columns, given)
        best = 0.0
        for chosen in product(*(cuts(probabilities[:, column]) for column in columns)):
            tried = start.copy()
            tried[columns] = chosen
            best = max(best, measure.score(given | (probabilities >= tried), targets))
        assert measure.score(given | (probabilities >= found), targets) == pytest.approx(best, abs=1e-12), seed


def dinkelbach(probabilities, targets, beta):
    """Return the best micro F-beta of all: Dinkelbach, "On Nonlinear Fractional Programming", 1967.

    F is the largest number with which sum((1 + beta^2) * right - F * given) - F * beta^2 * positives can be 0.
    """
    score = 0.0
    while True:
        right, given = 0, 0
        for own, truth in zip(probabilities.T, targets.T, strict=True):
            options = [((own >= cut) & (truth == 1), (own >= cut) & (truth >= 0)) for cut in cuts(own)]
            counts = [(int(hits.sum()), int(labels.sum())) for hits, labels in options]
            best = max(counts, key=lambda pair: (1 + beta**2) * pair[0] - score * pair[1])
            right, given = right + best[0], given + best[1]
        higher = (1 + beta**2) * right / (beta**2 * (targets == 1).sum() + given)
        if higher <= score + 1e-12:
            return score
        score = higher


@pytest.mark.parametrize("beta", [1, 2])
@pytest.mark.parametrize("start", [0.0, 0.5, NEVER])
def test_under_the_micro_average_the_best_is_reached_from_anywhere(beta, start):
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 8)) < np.geomspace(0.5, 0.03, 8)).astype(np.int8)
    targets[rng.random(targets.shape) < 0.1] = -1
    probabilities = np.clip(rng.normal(0.3 + 0.25 * (targets == 1), 0.2), 0, 1).round(2).astype(np.float32)
    measure = FMeasure(beta, "micro")
    found = ascend(probabilities, targets, measure, np.full(8, start), np.arange(8), np.zeros(targets.shape, bool))
    best = dinkelbach(probabilities, targets, beta)
    assert 0.3 < best < 0.95
    assert measure.score(probabilities >= found, targets) == pytest.approx(best, abs=1e-12)


def test_under_the_image_average_two_changes_at_once_can_be_better():
    # The first image has no label and gets both. To take away one gains nothing there, to take away both does.
    probabilities = np.array([[0.5, 0.7], [0.5, 1.0]], np.float32)
    targets = np.array([[0, 0], [1, 1]], np.int8)
    measure, none = FMeasure(1, "images", 1), np.zeros((2, 2), bool)
    found = ascend(probabilities, targets, measure, np.array([0.5, 0.5]), np.array([0, 1]), none)
    assert measure.score(probabilities >= found, targets) == 0.5  # (0 + 1) / 2
    assert measure.score(probabilities >= np.array([NEVER, 0.85]), targets) == pytest.approx(5 / 6)  # (1 + 2/3) / 2
