"""The scores of each class, worked out by hand."""

import math
from dataclasses import asdict, fields

import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from polytag.metrics.per_class import ClassScore, class_scores

CLASSES = ("cat", "dog", "owl")


def numbers(score):
    """Return all fields but the name."""
    return list(asdict(score).values())[1:]


@pytest.fixture
def evaluation(evaluation_of):
    """Return four images and three classes, given from 0.65 on; the counts stand in the tests."""
    return evaluation_of(
        [[0.9, 0.8, 0.1], [0.8, 0.7, 0.2], [0.7, 0.6, 0.9], [0.1, 0.1, 0.1]],
        [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]],
        threshold=0.65,
    )


def test_each_class_by_hand(evaluation):
    cat, dog, owl = class_scores(evaluation, CLASSES)
    # cat: right, wrong, right, not given. Each has a bin of its own: gaps of .1, .8, .3, .1
    assert numbers(cat) == pytest.approx([2, 0.5, (1 + 2 / 3) / 2, 3 / 4, 2 / 3, 1, 4 / 5, 1.3 / 4, 2, 1, 0, 1])
    # dog: .8 wrong, .7 right, .6 and .1 not given: gaps of .8, .3, .6, .1
    assert numbers(dog) == pytest.approx([1, 0.25, 1 / 2, 2 / 3, 1 / 2, 1, 2 / 3, 1.8 / 4, 1, 1, 0, 2])
    # owl: nobody has it, and it is given once. The two of .1 share a bin: gaps of .1, .2, .9, .1
    nothing = math.nan
    found = numbers(owl)
    assert found == pytest.approx([0, 0, nothing, nothing, 0, nothing, nothing, 1.3 / 4, 0, 1, 0, 3], nan_ok=True)
    assert [one.name for one in (cat, dog, owl)] == list(CLASSES)


def test_the_columns_of_per_class_csv():
    columns = [field.name for field in fields(ClassScore)]
    assert " ".join(columns) == (
        "name support chance average_precision roc_auc precision recall f1 calibration_error tp fp fn tn"
    )


def test_what_is_unknown_is_in_no_count(evaluation_of):
    # cat: right, unknown, missed; dog: nothing is known; owl: only that it is there once, given
    found = class_scores(
        evaluation_of([[0.9, 0.9, 0.9], [0.8, 0.1, 0.9], [0.2, 0.9, 0.1]], [[1, -1, -1], [-1, -1, 1], [1, -1, -1]]),
        CLASSES,
    )
    assert [(one.tp, one.fp, one.fn, one.tn) for one in found] == [(1, 0, 1, 0), (0, 0, 0, 0), (1, 0, 0, 0)]
    assert [one.support for one in found] == [2, 0, 1]
    cat, dog, owl = found
    assert (cat.chance, cat.average_precision, cat.precision, cat.recall) == (1, 1, 1, 0.5)
    assert cat.f1 == pytest.approx(2 / 3)
    assert math.isnan(cat.roc_auc)
    assert (owl.chance, owl.average_precision, owl.precision, owl.recall, owl.f1) == (1, 1, 1, 1, 1)
    assert owl.calibration_error == pytest.approx(0.1)
    rest = {name: value for name, value in asdict(dog).items() if isinstance(value, float)}
    assert len(rest) == 7 and all(math.isnan(value) for value in rest.values())


def test_precision_of_a_class_that_is_never_given_is_undefined(evaluation_of):
    """Unlike in a macro average, where it counts 0."""
    (score,) = class_scores(evaluation_of([[0.1], [0.2]], [[1], [0]]), ["cat"])
    assert math.isnan(score.precision)
    assert (score.recall, score.f1, score.tp, score.fp, score.fn, score.tn) == (0, 0, 0, 0, 1, 1)


def test_counts_are_whole_numbers(evaluation):
    for score in class_scores(evaluation, CLASSES):
        assert all(type(number) is int for number in (score.support, score.tp, score.fp, score.fn, score.tn))


def test_without_an_image_nothing_is_defined(evaluation):
    for score in class_scores(evaluation.rows([]), CLASSES):
        support, *shares, tp, fp, fn, tn = numbers(score)
        assert (support, tp, fp, fn, tn) == (0, 0, 0, 0, 0)
        assert len(shares) == 7 and all(math.isnan(value) for value in shares)


def test_f2_is_that_of_scikit_learn(evaluation_of):
    generator = np.random.default_rng(0)
    probabilities, targets = generator.random((50, 3)), generator.integers(0, 2, (50, 3)).astype(np.int8)
    targets[:, 2] = 0
    *some, empty = class_scores(evaluation_of(probabilities, targets), CLASSES)
    expected = fbeta_score(targets[:, :2], probabilities[:, :2] >= 0.5, beta=2, average=None)
    assert [score.f2 for score in some] == pytest.approx(expected.tolist())
    assert math.isnan(empty.f2)
