"""The outcome of a run, from made-up predictions."""

import numpy as np
import pytest

from polytag.sweep.outcomes import given_labels, judge

# Ten images, four labels: 14 of 40 cells are present, which makes 1.4 labels an image; four images have two.
TARGETS = np.zeros((10, 4), np.int8)
TARGETS[range(10), [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]] = 1
TARGETS[[0, 3, 6, 8], [1, 2, 3, 0]] = 1
GUESSES = {
    "predict nothing": {"val/map": 0.35, "val/accuracy": 0.65},
    "frequency": {"val/map": 0.35, "val/accuracy": 0.6},
}
# A tenth of the way from guessing to 1: 0.415 and 0.685.


def judged(given, ranking, accuracy, targets=TARGETS):
    return judge({"val/map": ranking, "val/accuracy": accuracy}, GUESSES, np.asarray(given, bool), targets)


def test_right_labels_are_learnt():
    assert judged(TARGETS, 1.0, 1.0) == ("learns", "")
    assert judged(TARGETS, 0.42, 0.69) == ("learns", "")


def test_a_ranking_that_is_hardly_better_than_a_guess_is_none():
    outcome, reason = judged(TARGETS, 0.41, 1.0)
    assert outcome == "collapses"
    assert "val/map 0.410, guess 0.350" in reason


@pytest.mark.parametrize(("fill", "what"), [(0, "no label"), (1, "every label")])
def test_the_same_answer_for_all_images_is_a_collapse_however_good_the_ranking(fill, what):
    assert judged(np.full((10, 4), fill), 0.9, 0.65) == ("collapses", f"100% of the images get {what} at 0.5.")
    nine = np.full((10, 4), fill)
    nine[0] = TARGETS[0]
    assert judged(nine, 0.9, 0.68)[0] == "ranks only"  # 90 % are not nearly all


def test_few_labels_are_no_collapse_where_the_truth_has_as_few():
    targets = np.zeros((40, 4), np.int8)
    targets[0, 0] = 1
    assert judged(targets, 0.9, 0.9, targets) == ("learns", "")


def test_one_label_an_image_is_not_enough_where_images_have_several():
    one = np.eye(4)[[0, 0, 0, 1, 1, 1, 2, 2, 3, 3]]
    outcome, reason = judged(one, 1.0, 0.9)
    assert (outcome, reason) == ("ranks only", "No image gets two labels, and 40% have several.")
    assert judged(one, 1.0, 1.0, one.astype(np.int8)) == ("learns", "")


def test_labels_that_are_no_better_than_a_guess_only_rank():
    wrong = np.roll(TARGETS, 1, axis=0)
    assert judged(wrong, 0.9, 0.68) == ("ranks only", "Its labels at 0.5 are hardly better than a guess, or worse.")


def test_far_too_few_or_too_many_labels_only_rank():
    few = np.zeros((10, 4))
    few[0] = TARGETS[0]
    few[1] = TARGETS[1]  # 3 of 14
    outcome, reason = judged(few, 0.9, 0.7)
    assert (outcome, reason) == ("ranks only", "It gives 0.30 labels an image at 0.5, and there are 1.40.")
    few[3] = TARGETS[3]  # 5 of 14
    assert judged(few, 0.9, 0.7)[0] == "learns"


def test_what_is_unknown_is_not_given_and_not_missed():
    targets = np.array([[1, -1, 0], [0, 0, -1]], np.int8)
    probabilities = np.array([[0.5, 0.9, 0.49], [0.6, 0.7, 0.8]], np.float32)
    given = given_labels(probabilities, targets)
    assert given.tolist() == [[True, False, False], [True, True, False]]
    everything = given_labels(np.ones((2, 3)), targets)
    assert judged(everything, 0.9, 0.5, targets) == ("collapses", "100% of the images get every label at 0.5.")
