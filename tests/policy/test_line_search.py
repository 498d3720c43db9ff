"""Exact searches against trying every threshold."""

import numpy as np
import pytest
import torch
from fake.predictions import GRID, cuts, neighbours, predictions
from sklearn.metrics import fbeta_score

from polytag.policy.f_measure import FMeasure
from polytag.policy.line_search import class_thresholds, common_threshold, precision_thresholds
from polytag.policy.thresholds import Thresholds

MEASURES = [
    *(FMeasure(beta, average) for beta in (1, 2, 0.7) for average in ("macro", "micro", "images")),
    *(FMeasure(beta, "images", 1) for beta in (1, 2)),
]
GRIDS = {"ties": GRID, "neighbours": neighbours(), "neighbours of 64 bits": neighbours(kind=np.float64)}
SEEDS = range(60)


def scikit_learn(measure, labels, targets):
    """Return the score of an independent source; what is unknown is neither given nor there."""
    if measure.average == "images":  # an image of which nothing is known is left out, or that may have labels
        some, sure = (targets >= 0).any(1), (targets >= 0).all(1) | (targets == 1).any(1)
        counted = some if measure.zero_division else some & sure
        labels, targets = labels[counted], targets[counted]
    truth, given = targets == 1, labels & (targets >= 0)
    average = {"macro": None, "micro": "micro", "images": "samples"}[measure.average]
    if measure.average == "micro" or truth.shape[1] == 1:
        if measure.average == "images":
            rows = [
                fbeta_score(t, g, beta=measure.beta, zero_division=measure.zero_division)
                for t, g in zip(truth, given, strict=True)
            ]
            return np.mean(rows)
        return fbeta_score(truth.ravel(), given.ravel(), beta=measure.beta, zero_division=measure.zero_division)
    scores = fbeta_score(truth, given, beta=measure.beta, average=average, zero_division=measure.zero_division)
    return np.mean(scores[truth.any(0)]) if measure.average == "macro" else scores


def searched(targets, seed):
    """Return some columns, and random labels for the others."""
    rng = np.random.default_rng(seed)
    columns = np.flatnonzero(rng.random(targets.shape[1]) < 0.7)
    given = rng.random(targets.shape) < 0.4
    given[:, columns] = False
    return columns, given


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_the_score_is_scikit_learns(measure):
    for seed in range(20):
        probabilities, targets = predictions(seed)
        labels = probabilities >= 0.3
        assert measure.score(labels, targets) == pytest.approx(scikit_learn(measure, labels, targets))


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_no_other_common_threshold_is_better(measure, grid):
    for seed in SEEDS:
        probabilities, targets = predictions(seed, grid)
        found = common_threshold(probabilities, targets, measure)
        scores = [measure.score(probabilities >= np.float64(cut), targets) for cut in cuts(probabilities)]
        assert measure.score(probabilities >= np.float64(found), targets) == pytest.approx(max(scores), abs=1e-12), seed


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_nor_for_some_classes_beside_the_labels_that_others_get(measure):
    tried = 0
    for seed in SEEDS:
        probabilities, targets = predictions(seed)
        columns, given = searched(targets, seed)
        found = common_threshold(probabilities, targets, measure, columns, given)
        if not (targets[:, columns] == 1).any():
            assert np.isnan(found)
            continue
        tried += 1

        def score(threshold, probabilities=probabilities, targets=targets, columns=columns, given=given):
            labels = given.copy()
            labels[:, columns] = probabilities[:, columns] >= np.float64(threshold)
            return measure.score(labels, targets)

        assert score(found) == pytest.approx(max(map(score, cuts(probabilities))), abs=1e-12), seed
    assert tried > 20


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("beta", [1, 2, 0.7])
def test_no_other_threshold_of_a_class_is_better(beta, grid):
    for seed in SEEDS:
        probabilities, targets = predictions(seed, grid)
        measure = FMeasure(beta, "macro")
        found = class_thresholds(probabilities, targets, measure)
        assert np.isinf(found[~(targets == 1).any(0)]).all()
        for column in np.flatnonzero((targets == 1).any(0)):
            own, truth = probabilities[:, [column]], targets[:, [column]]
            scores = [measure.score(own >= np.float64(cut), truth) for cut in cuts(own)]
            assert measure.score(own >= found[column], truth) == pytest.approx(max(scores), abs=1e-12), seed


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("precision", [0.3, 0.5, 2 / 3, 0.9, 1.0])
def test_most_positives_are_found_with_the_precision(precision, grid):
    for seed in SEEDS:
        probabilities, targets = predictions(seed, grid)
        found = precision_thresholds(probabilities, targets, precision)
        for own, truth, threshold in zip(probabilities.T, targets.T, found, strict=True):
            best = (0, 1.0)  # positives that are found, and with which precision: of no label it is not below any
            for cut in cuts(own):
                given, right = ((own >= cut) & (truth >= 0)).sum(), ((own >= cut) & (truth == 1)).sum()
                if right and right / given >= precision - 1e-9:
                    best = max(best, (right, right / given))
            given, right = ((own >= threshold) & (truth >= 0)).sum(), ((own >= threshold) & (truth == 1)).sum()
            assert (right, right / given if given else 1.0) == best, seed


def test_a_threshold_lies_halfway_to_the_next_lower_probability():
    probabilities = np.array([[0.9], [0.5], [0.25]], np.float32)
    first, second, all_three = (np.array(rows, np.int8)[:, None] for rows in ([1, 0, 0], [1, 1, 0], [0, 0, 1]))
    for average in ("macro", "micro", "images"):
        assert common_threshold(probabilities, second, FMeasure(1, average)) == 0.375
        assert common_threshold(probabilities, all_three, FMeasure(1, average)) == 0.125  # halfway to 0
    assert class_thresholds(probabilities, first, FMeasure()) == pytest.approx([0.7])
    assert precision_thresholds(probabilities, first, 1.0) == pytest.approx([0.7])


def test_unknown_labels_leave_no_trace():
    probabilities = np.array([[0.9], [0.8], [0.5]], np.float32)
    targets = np.array([[1], [-1], [0]], np.int8)
    assert class_thresholds(probabilities, targets, FMeasure()) == pytest.approx([0.7])
    assert common_threshold(probabilities, targets, FMeasure()) == pytest.approx(0.7)


def test_of_equally_good_thresholds_the_highest():
    # Given down to the first, second or third place: F1 2/3, 1/2, 4/5 and then 2/3; and F1 2/3 twice.
    probabilities = np.array([[0.9], [0.7], [0.5], [0.3]], np.float32)
    assert common_threshold(probabilities, np.array([[1], [0], [1], [0]], np.int8), FMeasure()) == pytest.approx(0.4)
    same = np.array([[1], [0], [0], [1]], np.int8)  # 2/3 at the first, 4/6 at the last
    for average in ("macro", "micro"):
        assert common_threshold(probabilities, same, FMeasure(1, average)) == pytest.approx(0.8)
    assert class_thresholds(probabilities, same, FMeasure()) == pytest.approx([0.8])


def test_giving_nothing_can_be_best_of_all():
    # The only positive is less likely than nine labels of nine images that have none.
    probabilities = np.array([[0.9]] * 9 + [[0.5]], np.float32)
    targets = np.array([[0]] * 9 + [[1]], np.int8)
    assert common_threshold(probabilities, targets, FMeasure(1, "images", 1)) == np.inf
    assert common_threshold(probabilities, targets, FMeasure(1, "images", 0)) == 0.25


def test_without_a_positive_there_is_nothing_to_go_by():
    probabilities, targets = np.full((3, 2), 0.5, np.float32), np.array([[0, 1], [0, 1], [-1, 0]], np.int8)
    for average in ("macro", "micro", "images"):
        assert np.isnan(common_threshold(probabilities, targets, FMeasure(1, average), np.array([0])))
        assert np.isnan(common_threshold(probabilities[:0], targets[:0], FMeasure(1, average)))


@pytest.mark.parametrize("measure", MEASURES, ids=str)
@pytest.mark.parametrize("grid", [GRID, neighbours()], ids=["ties", "neighbours"])
def test_thresholds_lie_between_probabilities_and_32_and_64_bits_decide_alike(measure, grid):
    for seed in SEEDS:
        probabilities, targets = predictions(seed, grid)
        found = [common_threshold(probabilities, targets, measure)] * targets.shape[1]
        for values in (found, class_thresholds(probabilities, targets, measure)):
            between = np.asarray(values)
            assert not ((probabilities == between) & (probabilities > 0) & (targets >= 0)).any()
            policy = Thresholds("some", tuple(between.tolist()))
            labels = policy.decide(probabilities)
            assert np.array_equal(labels, policy.decide(probabilities.astype(np.float64)))
            assert np.array_equal(labels, policy.decide(torch.from_numpy(probabilities)).numpy())
            assert np.array_equal(labels, policy.decide(torch.from_numpy(probabilities).double()).numpy())


@pytest.mark.parametrize("average", ["macro", "micro", "images"])
def test_many_images_where_blocks_of_thresholds_are_left_out(average):
    rng = np.random.default_rng(1)
    targets = (rng.random((700, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.0]).astype(np.int8)
    noise = rng.normal(size=targets.shape)
    probabilities = (1 / (1 + np.exp(2 - 2 * targets - noise))).astype(np.float32)
    measure = FMeasure(2, average)
    found = common_threshold(probabilities, targets, measure)
    grid = [measure.score(probabilities >= cut, targets) for cut in np.sort(probabilities[targets == 1])]
    assert measure.score(probabilities >= np.float64(found), targets) == pytest.approx(max(grid), abs=1e-12)
