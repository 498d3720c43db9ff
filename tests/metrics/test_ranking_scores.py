"""Scores of the order of the probabilities, worked out by hand."""

import math

import pytest
import torch

from polytag.errors import UserError
from polytag.metrics import ranking_scores as scores


@pytest.fixture
def ranked(evaluation_of):
    """Return a function: one class whose images, from the likeliest down, have the label (1) or not (0)."""

    def make(*truth):
        return evaluation_of([[1 - place / 100] for place in range(len(truth))], [[one] for one in truth])

    return make


def test_map_by_hand(evaluation_of):
    # class 1 ranks right, wrong, right: (1/1 + 2/3) / 2 ; class 2 has no positive and is left out
    evaluation = evaluation_of([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], [[1, 0], [0, 0], [1, 0]])
    assert scores.average_precision(evaluation).item() == pytest.approx(5 / 6)
    precisions = scores.class_average_precisions(evaluation)[0].tolist()
    assert precisions == pytest.approx([5 / 6, math.nan], nan_ok=True)


def test_three_averages_of_average_precision_by_hand(evaluation_of):
    # class 1: right, wrong, right: 5/6, two positives; class 2: wrong, right, wrong: 1/2, one positive
    evaluation = evaluation_of([[0.9, 0.2], [0.8, 0.6], [0.7, 0.5]], [[1, 0], [0, 0], [1, 1]])
    assert scores.average_precision(evaluation, "macro").item() == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert scores.average_precision(evaluation, "weighted").item() == pytest.approx((2 * 5 / 6 + 1 / 2) / 3)
    # together: .9 right, .8 wrong, .7 right, .6 wrong, .5 right, .2 wrong
    assert scores.average_precision(evaluation, "micro").item() == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)


def test_equal_probabilities_count_together(evaluation_of):
    # 0.9: right; 0.5: one right of two, so two of three there; both orders of the two rows
    for truth in ([[1], [1], [0]], [[1], [0], [1]]):
        evaluation = evaluation_of([[0.9], [0.5], [0.5]], truth)
        assert scores.average_precision(evaluation).item() == pytest.approx((1 + 2 / 3) / 2)
        assert scores.voc07_average_precision(evaluation).item() == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
        assert scores.roc_auc(evaluation).item() == pytest.approx(3 / 4)  # pairs: one won, one a tie


def test_voc07_by_hand(ranked):
    # recall 1/3 at a precision of 1/1, 2/3 at 2/3, 3/3 at 3/6. Recall 0, .1, .2, .3: 1; .4, .5, .6: 2/3; .7 to 1: 1/2.
    assert scores.voc07_average_precision(ranked(1, 0, 1, 0, 0, 1)).item() == pytest.approx(8 / 11)
    # recall 1/2 at 1/2, 1 at 2/3: the precision beyond counts at all eleven. Average precision has (1/2 + 2/3) / 2.
    assert scores.voc07_average_precision(ranked(0, 1, 1)).item() == pytest.approx(2 / 3)
    assert scores.average_precision(ranked(0, 1, 1)).item() == pytest.approx(7 / 12)
    # perfect, and a perfect ranking upside down: 1/4 at recall 1/2, 2/5 at 1
    assert scores.voc07_average_precision(ranked(1, 1, 0, 0)).item() == 1
    assert scores.voc07_average_precision(ranked(0, 0, 0, 1, 1)).item() == pytest.approx(2 / 5)


def test_voc07_with_recalls_that_are_tenths(ranked):
    # Ten positives, three first: a recall of exactly 0.3 has been reached at precision 1. Then three negatives and the
    # other seven: 4/7 at 0.4, rising to 10/13 at 1, which counts for 0.4 and all beyond.
    evaluation = ranked(1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1)
    assert scores.voc07_average_precision(evaluation).item() == pytest.approx((4 * 1 + 7 * 10 / 13) / 11)
    # Seven first, which is 0.7, of ten: 8 points of 1. Then three negatives; the rest reaches 10/13.
    evaluation = ranked(1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1)
    assert scores.voc07_average_precision(evaluation).item() == pytest.approx((8 * 1 + 3 * 10 / 13) / 11)


def test_voc07_is_a_mean_over_the_classes_with_a_positive(evaluation_of):
    evaluation = evaluation_of([[0.9, 0.9, 0.9], [0.8, 0.8, 0.8]], [[0, 1, 0], [1, 0, 0]])
    assert scores.voc07_average_precision(evaluation).item() == pytest.approx((1 / 2 + 1) / 2)


def test_roc_auc_by_hand(evaluation_of):
    # class 1: positives .9 and .4, negatives .6 and .4: .9 wins both, .4 loses one and ties one: 2.5 of 4
    # class 2: has no negative and is left out; together its .8, .7, .6, .5 are positives
    probabilities = [[0.9, 0.8], [0.6, 0.7], [0.4, 0.6], [0.4, 0.5]]
    evaluation = evaluation_of(probabilities, [[1, 1], [0, 1], [1, 1], [0, 1]])
    assert scores.roc_auc(evaluation).item() == pytest.approx(2.5 / 4)
    aucs = scores.class_roc_aucs(evaluation)[0].tolist()
    assert aucs == pytest.approx([2.5 / 4, math.nan], nan_ok=True)
    # against the negative .6: .9, .8, .7 win, .6 ties, .5 and .4 lose; against .4: five win, one ties
    assert scores.roc_auc(evaluation, "micro").item() == pytest.approx((3.5 + 5.5) / 12)


def test_scores_of_an_images_order_by_hand(evaluation_of):
    # image 1: labels ranked true, false, true, false: one of 4 pairs is wrong; all true ones after 3; (1/1 + 2/3) / 2
    # image 2: .5 for all: both pairs count as wrong; all true ones after 3, where 1 of 3 is right; one is unknown
    # image 3: no label: no pair, nothing to cover, nothing to be wrong about
    # image 4: nothing is known about it, so it counts nowhere
    evaluation = evaluation_of(
        [[0.9, 0.8, 0.7, 0.6], [0.5, 0.5, 0.5, 0.9], [0.1, 0.2, 0.3, 0.4], [0.9, 0.9, 0.1, 0.1]],
        [[1, 0, 1, 0], [0, 1, 0, -1], [0, 0, 0, 0], [-1, -1, -1, -1]],
    )
    assert scores.ranking_loss(evaluation).item() == pytest.approx((1 / 4 + 1 + 0) / 3)
    assert scores.coverage_error(evaluation).item() == pytest.approx((3 + 3 + 0) / 3)
    assert scores.label_ranking_average_precision(evaluation).item() == pytest.approx((5 / 6 + 1 / 3 + 1) / 3)


def test_a_probability_of_0_still_ranks_above_what_is_unknown(evaluation_of):
    evaluation = evaluation_of([[0.0, 0.0], [0.0, 0.5]], [[1, -1], [0, 1]])
    assert scores.coverage_error(evaluation).item() == 1
    assert scores.ranking_loss(evaluation).item() == 0
    assert scores.average_precision(evaluation).item() == pytest.approx((1 / 2 + 1) / 2)


@pytest.mark.parametrize("score", [scores.average_precision, scores.roc_auc])
def test_an_unknown_average_is_named(score, evaluation_of):
    with pytest.raises(UserError, match="average=images"):
        score(evaluation_of([[0.5]], [[1]]), average="images")


def test_fractional_weights_weigh(ranked):
    # right (weight 0.5), wrong (0.25), right (0.25): 0.5 * 1 + 0.25 * (0.75 / 1), over 0.75
    weights = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    evaluation = ranked(1, 0, 1).resampled(weights)
    assert scores.average_precision(evaluation).item() == pytest.approx((0.5 + 0.25 * 0.75) / 0.75)
    assert scores.roc_auc(evaluation).item() == pytest.approx(2 / 3)  # 0.5 of 0.75 positives is above the negative
