"""What scores share: their names and values, undefined classes, and what is no evaluation."""

import math

import pytest
import torch

from polytag.errors import UserError
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import check_average, macro, ratio, score_all, undefined_classes


def test_undefined_classes_are_those_without_a_known_positive():
    targets = torch.tensor([[1, 0, -1], [0, 0, -1]], dtype=torch.int8)
    assert undefined_classes(targets, ["a", "b", "c"]) == ("b", "c")
    assert undefined_classes(targets[:0], ["a", "b", "c"]) == ("a", "b", "c")


def test_macro_leaves_out_what_is_undefined():
    values = torch.tensor([[0.2, math.nan, 0.6], [math.nan] * 3], dtype=torch.float64)
    assert macro(values).tolist() == pytest.approx([0.4, math.nan], nan_ok=True)
    assert macro(torch.zeros(1, 0)).isnan().all()


def test_ratio_of_nothing_is_what_was_said():
    numerator, denominator = torch.tensor([3.0, 0, 0]).double(), torch.tensor([4.0, 2, 0]).double()
    assert ratio(numerator, denominator, 1.0).tolist() == [0.75, 0, 1]


def test_an_unknown_average_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="average=samples of recall is none of images, macro, micro"):
        check_average("recall", "samples", ("images", "macro", "micro"))


def test_scores_are_plain_numbers_and_may_come_from_anywhere(evaluation_of):
    metrics = {"tensor": lambda _: torch.tensor([0.5]), "scalar": lambda _: torch.tensor(0.25), "float": lambda _: 1.0}
    found = score_all(metrics, evaluation_of([[0.5]], [[1]]))
    assert found == {"tensor": 0.5, "scalar": 0.25, "float": 1.0}
    assert all(type(value) is float for value in found.values())


def test_what_is_no_evaluation_is_refused():
    yes = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(AssertionError, match="logits"):
        Evaluation(torch.tensor([[2.0, -1.0]]), yes, yes)
    with pytest.raises(UserError, match="NaN for 1 of 1 images"):
        Evaluation(torch.tensor([[0.5, float("nan")]]), yes, yes)
    with pytest.raises(AssertionError):
        Evaluation(torch.zeros(2, 2), yes, yes)
    for wrong in (2, -2, -128):
        with pytest.raises(AssertionError, match="multi-hot"):
            Evaluation(torch.zeros(1, 2), torch.tensor([[0, wrong]], dtype=torch.int8), yes)
    with pytest.raises(AssertionError, match="uint8"):  # it has no -1
        Evaluation(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.uint8), yes)
    with pytest.raises(AssertionError, match="float16"):
        Evaluation(torch.zeros(1, 2, dtype=torch.float16), yes, yes)
    with pytest.raises(AssertionError):
        Evaluation(torch.zeros(1, 2), yes, torch.ones(1, 2))
    for weights in (torch.ones(1, 2), torch.ones(1, 2).double(), torch.ones(1).double()):
        with pytest.raises(AssertionError):
            Evaluation(torch.zeros(1, 2), yes, yes, weights)


def test_rows_are_chosen_by_number(evaluation_of):
    evaluation = evaluation_of([[0.1], [0.6], [0.9]], [[0], [-1], [1]])
    chosen = evaluation.rows(torch.tensor([2, 2, 1]))
    assert chosen.targets.tolist() == [[1], [1], [-1]]
    assert chosen.probabilities[:, 0].tolist() == pytest.approx([0.9, 0.9, 0.6])
    assert chosen.decisions.all() and chosen.weights is None
