import math

import numpy as np
import pytest

from polytag.data.label_table import LabelTable
from polytag.inference.scoring import Result
from polytag.tracking.per_class import class_scores, marked_names, sample_rows

CLASSES = ("cat", "dog", "owl")


def make_result(probabilities, targets, classes=CLASSES):
    names = np.array([f"{i}.png" for i in range(len(targets))])
    table = LabelTable(names, names, classes, np.array(targets, np.uint8), np.array(["val"] * len(targets)))
    return Result(table, np.array(probabilities, np.float32), {}, {}, ())


def test_scores_of_each_class():
    result = make_result(
        [[0.9, 0.8, 0.1], [0.8, 0.7, 0.2], [0.7, 0.6, 0.9], [0.1, 0.1, 0.1]],
        [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]],
    )

    cat, dog, owl = class_scores(result, result.probabilities >= 0.65)

    # cat: hits at ranks 1 and 3, so (1/1 + 2/3) / 2; three decisions, two of them right.
    assert (cat.name, cat.support, cat.chance) == ("cat", 2, 0.5)
    assert cat.average_precision == pytest.approx(5 / 6)
    assert cat.precision == pytest.approx(2 / 3)
    assert cat.recall == 1
    # dog: the one hit at rank 2; two decisions, one of them right.
    assert (dog.support, dog.average_precision, dog.precision, dog.recall) == (1, 0.5, 0.5, 1)
    # owl: nobody carries it, and it is given once.
    assert (owl.support, owl.precision) == (0, 0)
    assert math.isnan(owl.average_precision)
    assert math.isnan(owl.recall)


def test_precision_of_a_class_that_is_never_given_is_undefined():
    result = make_result([[0.1, 0.1, 0.1]], [[1, 0, 0]])

    cat = class_scores(result, result.probabilities >= 0.5)[0]

    assert math.isnan(cat.precision)
    assert cat.recall == 0


def test_names_say_what_is_right_added_and_missed_without_colour():
    marked = marked_names(np.array([1, 1, 0]), np.array([False, True, True]), CLASSES)

    assert marked == [("dog", "right"), ("+owl", "added"), ("−cat", "missed")]


def test_an_empty_image_that_gets_no_label_says_none():
    assert marked_names(np.zeros(3), np.zeros(3, bool), CLASSES) == [("none", "right")]


def test_sampled_rows_are_distinct_ordered_and_repeatable():
    rows = sample_rows(100, 12, seed=0)

    assert len(set(rows.tolist())) == 12
    assert rows.tolist() == sorted(rows.tolist())
    assert rows.tolist() == sample_rows(100, 12, seed=0).tolist()
    assert rows.tolist() != sample_rows(100, 12, seed=1).tolist()
    assert sample_rows(3, 12, seed=0).tolist() == [0, 1, 2]
