"""Scores of decisions, worked out by hand."""

import math

import pytest
import torch

from polytag.errors import UserError
from polytag.metrics import decision_scores as scores
from polytag.metrics.decision_scores import f_beta
from polytag.metrics.evaluation import Evaluation


def test_f2_by_hand(evaluation_of):
    # image 1: 1 right, 1 missed: 5 / (5 + 4); image 2: 1 right, 2 wrong: 5 / (5 + 2); image 3: nothing, rightly
    evaluation = evaluation_of([[0.9, 0.1, 0.1], [0.9, 0.9, 0.9], [0, 0, 0]], [[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert f_beta(evaluation).item() == pytest.approx((5 / 9 + 5 / 7 + 0) / 3)
    assert f_beta(evaluation, zero_division=1).item() == pytest.approx((5 / 9 + 5 / 7 + 1) / 3)
    assert f_beta(evaluation, beta=1).item() == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)


def test_zero_division_is_for_images_without_labels_that_get_none(evaluation_of):
    # image 1: nothing there and nothing given; image 2: nothing there, one given; image 3: one there, nothing given
    evaluation = evaluation_of([[0.1, 0.1], [0.9, 0.1], [0.1, 0.1]], [[0, 0], [0, 0], [1, 0]])
    for score in (f_beta, scores.jaccard):
        assert score(evaluation, average="images").item() == 0
        assert score(evaluation, average="images", zero_division=1).item() == pytest.approx(1 / 3)
    # of nothing given, all is right; of nothing there, all is found
    assert scores.precision(evaluation, "images", zero_division=1).item() == pytest.approx(2 / 3)
    assert scores.recall(evaluation, "images", zero_division=1).item() == pytest.approx(2 / 3)


def test_f1_macro_leaves_out_a_class_without_positives(evaluation_of):
    evaluation = evaluation_of([[0.9, 0.9], [0.1, 0.9]], [[1, 0], [1, 0]])
    assert f_beta(evaluation, 1, "macro").item() == pytest.approx(2 / 3)  # 1 right, 1 missed
    assert f_beta(evaluation, 1, "micro").item() == pytest.approx(2 / 5)  # 1 right, 1 missed, 2 wrong


def test_decisions_are_the_policys_and_accuracy_stays_at_one_half(evaluation_of):
    evaluation = evaluation_of([[0.3, 0.5], [0.3, 0.1]], [[1, 1], [0, 0]], threshold=0.2)
    assert scores.accuracy(evaluation, threshold=0.5).item() == 0.75
    assert scores.accuracy(evaluation).item() == 0.75
    assert f_beta(evaluation).item() == 0.5
    assert scores.exact_match(evaluation).item() == 0.5
    stricter = Evaluation(evaluation.probabilities, evaluation.targets, torch.zeros(2, 2, dtype=torch.bool))
    assert scores.accuracy(stricter, threshold=0.5).item() == 0.75
    assert scores.accuracy(stricter).item() == 0.5
    assert scores.hamming_loss(stricter).item() == 0.5


def test_probabilities_that_look_like_logits_are_not_squashed(evaluation_of):
    # A sigmoid would lift all of these above 0.5.
    evaluation = evaluation_of([[0.1, 0.2], [0.3, 0.4]], [[0, 0], [0, 0]])
    assert scores.accuracy(evaluation, threshold=0.5).item() == 1


@pytest.fixture
def of_papers(evaluation_of):
    """Return decisions of three classes on four images: their counts are in the test below."""
    given = [[1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    truth = [[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]]
    return evaluation_of(given, truth)


def test_the_six_numbers_of_the_coco_and_voc_papers(of_papers):
    # Wang et al. 2016 (CNN-RNN) and Zhu et al. 2017 (SRN): with N_c labels of class c given, N_r of them rightly,
    # N_g there: CP is the mean of N_r / N_c over the classes, CR that of N_r / N_g, OP the sum of N_r over the sum of
    # N_c, OR that over the sum of N_g; CF1 = 2 CP CR / (CP + CR), OF1 = 2 OP OR / (OP + OR).
    #           given  right  there
    # class 1       3      2      2
    # class 2       1      1      3
    # class 3       1      0      1
    cp = (2 / 3 + 1 / 1 + 0 / 1) / 3  # 5/9
    cr = (2 / 2 + 1 / 3 + 0 / 1) / 3  # 4/9
    assert scores.precision(of_papers, "macro").item() == pytest.approx(cp)
    assert scores.recall(of_papers, "macro").item() == pytest.approx(cr)
    assert scores.class_f1(of_papers).item() == pytest.approx(40 / 81)  # 2 * 20/81 over 1
    assert scores.precision(of_papers, "micro").item() == pytest.approx(3 / 5)
    assert scores.recall(of_papers, "micro").item() == pytest.approx(3 / 6)
    assert scores.overall_f1(of_papers).item() == pytest.approx(6 / 11)  # 2 * 0.3 over 1.1
    # The mean of the classes' F1 is another number: 4/5, 2/4 and 0.
    assert f_beta(of_papers, 1, "macro").item() == pytest.approx(13 / 30)


def test_jaccard_by_hand(of_papers):
    # both over either: class 1 2/3, class 2 1/3, class 3 0/2; images 2/3, 1/2, 0/3 and nothing at all; together 3/8
    assert scores.jaccard(of_papers, "macro").item() == pytest.approx(1 / 3)
    assert scores.jaccard(of_papers, "images").item() == pytest.approx((2 / 3 + 1 / 2) / 4)
    assert scores.jaccard(of_papers, "micro").item() == pytest.approx(3 / 8)


def test_cf1_without_a_right_label_is_0_and_without_a_class_undefined(evaluation_of):
    assert scores.class_f1(evaluation_of([[0.9, 0.1]], [[0, 1]])).item() == 0
    assert math.isnan(scores.class_f1(evaluation_of([[0.9, 0.1]], [[0, 0]])).item())


def test_what_is_unknown_counts_nowhere(evaluation_of):
    # image 1: given both, the first rightly, the second unknown; image 2: unknown; image 3: one missed, one unknown
    evaluation = evaluation_of([[0.9, 0.9], [0.9, 0.1], [0.1, 0.9]], [[1, -1], [-1, -1], [1, -1]])
    assert scores.accuracy(evaluation).item() == 1 / 2  # two are known
    assert scores.hamming_loss(evaluation).item() == 1 / 2
    assert scores.exact_match(evaluation).item() == 1 / 2  # images 1 and 3: nobody knows about image 2
    assert f_beta(evaluation).item() == 1 / 2
    assert scores.precision(evaluation, "images").item() == 1 / 2
    assert scores.precision(evaluation, "micro").item() == 1
    assert scores.recall(evaluation, "macro").item() == 1 / 2  # of the first class; the second has none


def test_an_image_that_may_have_labels_but_none_is_known_is_left_out_of_scores_of_images(evaluation_of):
    # image 1: rightly given; image 2: one absent label is given, the other is unknown; image 3: known to have none
    evaluation = evaluation_of([[0.9, 0.1], [0.9, 0.1], [0.1, 0.1]], [[1, 0], [0, -1], [0, 0]])
    for score in (f_beta, scores.precision, scores.recall, scores.jaccard):
        assert score(evaluation, average="images").item() == 1 / 2  # images 1 and 3: 1 and 0
    assert f_beta(evaluation, zero_division=1).item() == pytest.approx(2 / 3)  # 1, 0 for what is wrong, 1
    assert math.isnan(f_beta(evaluation_of([[0.9, 0.1]], [[0, -1]])).item())


@pytest.mark.parametrize("wrong", [{"beta": 0}, {"beta": math.nan}, {"zero_division": 0.5}, {"average": "samples"}])
def test_wrong_settings_of_f_beta_are_named(wrong, evaluation_of):
    name, value = next(iter(wrong.items()))
    with pytest.raises(UserError, match=f"{name}={value}"):
        f_beta(evaluation_of([[0.5]], [[1]]), **wrong)
