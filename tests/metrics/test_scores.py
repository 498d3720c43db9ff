"""Scores against scikit-learn, and against numbers worked out by hand."""

import math
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from sklearn import metrics as sk

from polytag.errors import UserError
from polytag.metrics import scores
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import f_beta, score_all, undefined_classes

CONF = Path(__file__).parents[2] / "conf"


def evaluation_of(probabilities, targets, threshold=0.5):
    probabilities = torch.as_tensor(np.asarray(probabilities, np.float32))
    return Evaluation(probabilities, torch.as_tensor(np.asarray(targets, np.uint8)), probabilities >= threshold)


@pytest.fixture(scope="module")
def default_metrics():
    return dict(hydra.utils.instantiate(OmegaConf.load(CONF / "metrics" / "default.yaml")))


def random_case(seed, rows=60, classes=5):
    rng = np.random.default_rng(seed)
    return rng.random((rows, classes), np.float32), (rng.random((rows, classes)) < 0.4).astype(np.uint8)


def tied_case():
    probabilities, targets = random_case(4)
    return np.round(probabilities * 4) / 4, targets


def all_positive_case():
    probabilities, targets = random_case(5)
    targets[:, 1] = 1
    return probabilities, targets


def nothing_predicted_case():
    probabilities, targets = random_case(6)
    return probabilities * 0, targets


def unlabelled_rows_case():
    probabilities, targets = random_case(7)
    targets[::3] = 0
    probabilities[::6] = 0
    return probabilities, targets


CASES = {
    "random": random_case(0),
    "ties": tied_case(),
    "a class with positives only": all_positive_case(),
    "nothing predicted": nothing_predicted_case(),
    "rows without labels": unlabelled_rows_case(),
    "one row": (np.array([[0.9, 0.2, 0.6]]), np.array([[1, 1, 1]])),
    "one class": random_case(8, classes=1),
}


@pytest.mark.parametrize("name", CASES)
def test_equal_to_scikit_learn(name, default_metrics):
    probabilities, targets = CASES[name]
    probabilities = np.asarray(probabilities, np.float32)
    decisions = probabilities >= 0.3
    found = score_all(default_metrics, evaluation_of(probabilities, targets, 0.3))
    # scikit-learn takes a single column for a binary problem, so one class is averaged by hand there
    average_precision = [sk.average_precision_score(t, p) for t, p in zip(targets.T, probabilities.T, strict=True)]
    per_image = [sk.fbeta_score(t, d, beta=2, zero_division=0) for t, d in zip(targets, decisions, strict=True)]
    per_class = [sk.f1_score(t, d, zero_division=0) for t, d in zip(targets.T, decisions.T, strict=True)]
    assert found == pytest.approx(
        {
            "map": np.mean(average_precision),
            "f2": np.mean(per_image),
            "f1_micro": sk.f1_score(targets.ravel(), decisions.ravel(), zero_division=0),
            "f1_macro": np.mean(per_class),
            "accuracy": sk.accuracy_score(targets.ravel(), probabilities.ravel() >= 0.5),
            "accuracy_policy": sk.accuracy_score(targets.ravel(), decisions.ravel()),
            "exact_match": sk.accuracy_score(targets, decisions),
        },
        abs=1e-6,
    )
    assert list(found) == ["map", "f2", "f1_micro", "f1_macro", "accuracy", "accuracy_policy", "exact_match"]


def test_f2_is_scikit_learns_average_over_samples():
    probabilities, targets = random_case(9)
    expected = sk.fbeta_score(targets, probabilities >= 0.5, beta=2, average="samples", zero_division=0)
    assert f_beta(evaluation_of(probabilities, targets)).item() == pytest.approx(expected, abs=1e-6)


def test_f2_by_hand():
    # image 1: 1 right, 1 missed: 5 / (5 + 4); image 2: 1 right, 2 wrong: 5 / (5 + 2); image 3: nothing, rightly
    evaluation = evaluation_of([[0.9, 0.1, 0.1], [0.9, 0.9, 0.9], [0, 0, 0]], [[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert f_beta(evaluation).item() == pytest.approx((5 / 9 + 5 / 7 + 0) / 3)
    assert f_beta(evaluation, zero_division=1).item() == pytest.approx((5 / 9 + 5 / 7 + 1) / 3)
    assert f_beta(evaluation, beta=1).item() == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)


def test_map_by_hand():
    # class 1 ranks right, wrong, right: (1/1 + 2/3) / 2 ; class 2 has no positive and is left out
    evaluation = evaluation_of([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], [[1, 0], [0, 0], [1, 0]])
    assert scores.macro_average_precision(evaluation).item() == pytest.approx(5 / 6)
    assert undefined_classes(evaluation.targets, ["a", "b"]) == ("b",)


def test_f1_macro_leaves_out_a_class_without_positives():
    evaluation = evaluation_of([[0.9, 0.9], [0.1, 0.9]], [[1, 0], [1, 0]])
    assert scores.f1_macro(evaluation).item() == pytest.approx(2 / 3)  # 1 right, 1 missed
    assert scores.f1_micro(evaluation).item() == pytest.approx(2 / 5)  # 1 right, 1 missed, 2 wrong


def test_decisions_are_the_policys_and_accuracy_stays_at_one_half():
    evaluation = evaluation_of([[0.3, 0.5], [0.3, 0.1]], [[1, 1], [0, 0]], threshold=0.2)
    assert scores.accuracy(evaluation).item() == 0.75
    assert scores.accuracy_policy(evaluation).item() == 0.75
    assert f_beta(evaluation).item() == 0.5
    assert scores.exact_match(evaluation).item() == 0.5
    stricter = Evaluation(evaluation.probabilities, evaluation.targets, torch.zeros(2, 2, dtype=torch.bool))
    assert scores.accuracy(stricter).item() == 0.75
    assert scores.accuracy_policy(stricter).item() == 0.5


def test_probabilities_that_look_like_logits_are_not_squashed():
    # A sigmoid would lift all of these above 0.5.
    evaluation = evaluation_of([[0.1, 0.2], [0.3, 0.4]], [[0, 0], [0, 0]])
    assert scores.accuracy(evaluation).item() == 1


def test_without_any_positive(default_metrics):
    found = score_all(default_metrics, evaluation_of(np.full((2, 3), 0.1), np.zeros((2, 3))))
    assert math.isnan(found.pop("map")) and math.isnan(found.pop("f1_macro"))
    assert found == {"f2": 0, "f1_micro": 0, "accuracy": 1, "accuracy_policy": 1, "exact_match": 1}


def test_without_any_row(default_metrics):
    found = score_all(default_metrics, evaluation_of(np.zeros((0, 3)), np.zeros((0, 3))))
    assert all(math.isnan(value) for value in found.values()), found


def test_boolean_targets_and_64_bits_are_taken_too(default_metrics):
    probabilities, targets = random_case(1)
    first = evaluation_of(probabilities, targets)
    second = Evaluation(first.probabilities.double(), first.targets.bool(), first.decisions)
    assert score_all(default_metrics, second) == pytest.approx(score_all(default_metrics, first), abs=1e-6)


def test_what_is_no_evaluation_is_refused():
    yes = torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(AssertionError, match="logits"):
        Evaluation(torch.tensor([[2.0, -1.0]]), yes, yes)
    with pytest.raises(UserError, match="NaN for 1 of 1 images"):
        Evaluation(torch.tensor([[0.5, float("nan")]]), yes, yes)
    with pytest.raises(AssertionError):
        Evaluation(torch.zeros(2, 2), yes, yes)
    with pytest.raises(AssertionError, match="multi-hot"):
        Evaluation(torch.zeros(1, 2), torch.tensor([[0, 2]], dtype=torch.uint8), yes)


@pytest.mark.parametrize("wrong", [{"beta": 0}, {"zero_division": 0.5}])
def test_wrong_settings_of_f_beta_are_named(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(UserError, match=f"{name}={value}"):
        f_beta(evaluation_of([[0.5]], [[1]]), **wrong)


@pytest.mark.parametrize("levels", [3, 50, 10**6])
def test_map_is_torchmetrics_for_any_number_of_ties(levels):
    from torchmetrics.functional.classification import multilabel_average_precision

    generator = torch.Generator().manual_seed(levels)
    probabilities = torch.randint(levels + 1, (500, 7), generator=generator) / levels
    targets = torch.rand(500, 7, generator=generator) < 0.2
    expected = multilabel_average_precision(probabilities, targets.int(), num_labels=7).item()
    evaluation = Evaluation(probabilities, targets, probabilities >= 0.5)
    assert scores.macro_average_precision(evaluation).item() == pytest.approx(expected, abs=1e-6)
