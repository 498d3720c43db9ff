"""The trivial baselines, worked out by hand."""

import numpy as np
import pytest

from polytag.metrics.baselines import trivial_baselines
from polytag.metrics.scores import score_all
from polytag.policy.fixed import FixedPolicy
from polytag.policy.threshold_search import GlobalThreshold


def int8(*rows):
    return np.array(rows, np.int8)


def scores_of(metrics, guesses):
    names = ("map", "f2", "f1_micro", "accuracy", "accuracy_policy")
    return {guess: score_all({name: metrics[name] for name in names}, one) for guess, one in guesses.items()}


def test_both_guesses(default_metrics):
    # Of four training images three have the first label, one the second, none the third. At 0.2 the guess by frequency
    # gives the first two to every image.
    truth = int8([1, 0, 0], [1, 1, 0])
    found = scores_of(default_metrics, trivial_baselines(np.array([3 / 4, 1 / 4, 0]), truth, FixedPolicy(0.2)))
    assert list(found) == ["predict nothing", "label frequency"]
    assert found["predict nothing"] == pytest.approx(
        {"map": 0.75, "f2": 0, "f1_micro": 0, "accuracy": 3 / 6, "accuracy_policy": 3 / 6}
    )
    # A constant ranks nothing: average precision is the label's share of the images, 2/2 and 1/2.
    assert found["label frequency"] == pytest.approx(
        {"map": 0.75, "f2": (5 / 6 + 1) / 2, "f1_micro": 6 / 7, "accuracy": 5 / 6, "accuracy_policy": 5 / 6}
    )


def test_a_label_of_which_no_training_image_knows_is_never_guessed():
    guess = trivial_baselines(np.array([np.nan, 0.9]), int8([1, 1]), FixedPolicy(0.5))["label frequency"]
    assert guess.probabilities[0].tolist() == pytest.approx([0, 0.9])
    assert guess.decisions.tolist() == [[False, True]]


def test_what_is_unknown_counts_for_the_guesses_neither(default_metrics):
    # Given the first label everywhere: right once, unknown once. Of image 2 nothing is known.
    truth = int8([1, 0], [-1, -1], [-1, 0])
    found = scores_of(default_metrics, trivial_baselines(np.array([0.9, 0.1]), truth, FixedPolicy(0.5)))
    ones = dict.fromkeys(("map", "f1_micro", "accuracy", "accuracy_policy"), 1.0)
    assert found["label frequency"] == ones | {"f2": 1.0}  # image 3 may have a label: it is left out
    assert found["predict nothing"] == pytest.approx(
        {"map": 1, "f2": 0, "f1_micro": 0, "accuracy": 2 / 3, "accuracy_policy": 2 / 3}
    )


def test_where_thresholds_are_searched_so_are_those_of_the_guess(default_metrics):
    # The first label is there always, the second never: between their frequencies of 0.3 and 0.1 lies the threshold
    # that gives the first alone, whatever part of the images is left out. One half would give none.
    truth = int8(*[[1, 0]] * 10)
    search = GlobalThreshold(average="micro")
    found = trivial_baselines(np.array([0.3, 0.1]), truth, search)
    assert found["label frequency"].decisions.tolist() == [[True, False]] * 10
    assert not found["predict nothing"].decisions.any()
    assert scores_of(default_metrics, found)["label frequency"]["f1_micro"] == 1
