"""What a policy is worth on images that it was not found on."""

from itertools import chain

import numpy as np
import pytest

from polytag.errors import UserError
from polytag.policy.cross_fit import find, held_out_labels
from polytag.policy.exclusive_groups import exclusive_groups
from polytag.policy.fixed import FixedPolicy
from polytag.policy.precision_search import AtPrecision
from polytag.policy.threshold_search import ClassThresholds, GlobalThreshold

OWN = ClassThresholds(shrinkage=0, min_support=1)
SEARCHES = [
    GlobalThreshold(),
    OWN,
    ClassThresholds(average="micro"),
    ClassThresholds(average="images"),
    AtPrecision(min_support=1),
]


def noise(rows, classes=6, frequency=0.1, seed=0):
    """Return predictions that say nothing about the targets."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, classes)) < frequency).astype(np.int8)
    return rng.random((rows, classes), np.float32), targets


class Recording(ClassThresholds):
    """A search that remembers on which images it was done; their first probability is their number."""

    calls: list = []  # noqa: RUF012

    def find(self, probabilities, targets):
        self.calls.append(set((probabilities[:, 0] * 1000).round().astype(int).tolist()))
        return super().find(probabilities, targets)


@pytest.mark.parametrize("folds", [2, 5])
def test_each_image_is_left_out_once_and_gets_the_labels_found_without_it(folds):
    _, targets = noise(43, 3, 0.3)
    probabilities = np.repeat(np.arange(43, dtype=np.float32)[:, None] / 1000, 3, axis=1)
    search = Recording(folds=folds, shrinkage=0, min_support=1)
    search.calls.clear()
    labels = held_out_labels(search, probabilities, targets)
    left_out = [sorted(set(range(43)) - call) for call in search.calls]
    assert len(left_out) == folds and sorted(chain(*left_out)) == list(range(43))
    assert max(map(len, left_out)) - min(map(len, left_out)) <= 1
    for rows in left_out:
        others = np.setdiff1d(np.arange(43), rows)
        policy = OWN.find(probabilities[others], targets[others])
        assert np.array_equal(labels[rows], policy.decide(probabilities[rows]))


def test_an_image_has_no_say_in_its_own_labels():
    # The only positive below 0.8 is at 0.05. With it the best cut for recall is below it, without it at 0.8.
    probabilities = np.array([0.9, 0.85, 0.8, 0.8, 0.05, 0.04, 0.03], np.float32)[:, None]
    targets = np.array([1, 1, 1, 1, 1, 0, 0], np.int8)[:, None]
    search = ClassThresholds(shrinkage=0, min_support=1, folds=7)
    assert search.find(probabilities, targets).decide(probabilities)[:, 0].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert held_out_labels(search, probabilities, targets)[:, 0].tolist() == [1, 1, 1, 1, 0, 0, 0]


def scores_on_noise(search):
    """Return the mean honest and optimistic scores over 20 draws, and that of the found policies on new images."""
    rows = []
    for seed in range(20):
        found = find(search, *noise(120, seed=seed))
        new, truth = noise(2000, seed=100 + seed)
        fresh = search.score(found.policy.decide(new), truth)
        rows.append((found.search["honest"], found.search["optimistic"], fresh))
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("average", ["macro", "images"])
def test_on_noise_the_optimistic_score_flatters_and_the_honest_one_does_not(average):
    # A dozen positives a class and nothing to learn: the hardest case. All folds counted together are a little kind.
    search = ClassThresholds(average=average, shrinkage=0, min_support=1)
    honest, optimistic, fresh = scores_on_noise(search)
    assert optimistic > fresh + 0.05
    assert optimistic > honest + 0.03
    assert abs(honest - fresh) < 0.025 and abs(honest - fresh) < (optimistic - fresh) / 2


@pytest.mark.parametrize("search", [GlobalThreshold(), ClassThresholds()], ids=lambda search: search.kind)
def test_the_defaults_fit_noise_less_and_their_honest_score_is_that_of_new_images(search):
    honest, optimistic, fresh = scores_on_noise(search)
    assert abs(honest - fresh) < 0.01
    assert honest < optimistic < fresh + 0.03


def test_predictions_that_say_something_keep_most_of_their_score():
    probabilities, targets = noise(400, seed=1)
    sure = np.clip(0.3 * probabilities + 0.6 * targets, 0, 1).astype(np.float32)
    found = find(GlobalThreshold(), sure, targets)
    assert (
        found.search["honest"] == found.search["optimistic"] == 1
    )  # 0.3 and 0.6: any threshold between tells them apart
    low = (sure / 4).astype(np.float32)
    assert find(GlobalThreshold(), low, targets).search["at_0.5"] == 0
    assert find(GlobalThreshold(), low, targets).search["honest"] == 1


def test_thresholds_are_found_on_some_predictions_and_applied_to_others():
    probabilities, targets = noise(60)
    held_out = find(OWN, probabilities, targets).held_out
    assert not held_out.decide(np.zeros_like(probabilities)).any()
    assert held_out.decide(np.ones_like(probabilities)).all()
    assert np.array_equal(held_out.decide(probabilities), held_out_labels(OWN, probabilities, targets))


def test_a_policy_that_is_not_searched_decides_for_itself():
    probabilities, targets = noise(60)
    assert find(FixedPolicy(0.5), probabilities, targets).held_out is None
    assert np.array_equal(held_out_labels(FixedPolicy(0.5), probabilities, targets), probabilities >= 0.5)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: f"{search.kind} {search.describe_score()}")
def test_what_is_found_and_told(search):
    probabilities, targets = noise(50)
    targets[::7, 1] = -1
    found = find(search, probabilities, targets)
    assert found.policy == search.find(probabilities, targets)
    labels = {
        "honest": held_out_labels(search, probabilities, targets),
        "optimistic": found.policy.decide(probabilities),
        "at_0.5": probabilities >= 0.5,
    }
    for name, given in labels.items():
        assert found.search[name] == pytest.approx(search.score(given, targets), nan_ok=True)
    assert {key: found.search[key] for key in ("score", "images", "folds", "method")} == {
        "score": search.describe_score(),
        "images": 50,
        "folds": 5,
        "method": search.method,
    }
    assert set(found.to_dict("abcdef")) == {"kind", "thresholds", "search"}


def test_the_seed_says_which_images_are_left_out_together():
    probabilities, targets = noise(60)

    def labels(seed):
        return held_out_labels(ClassThresholds(shrinkage=0, min_support=1, seed=seed), probabilities, targets)

    assert np.array_equal(labels(3), labels(3))
    assert not np.array_equal(labels(3), labels(4))


def test_each_fold_has_its_share_of_a_rare_label():
    # Ten images have it. Left out in five folds of two, eight of ten are seen each time, so it is always searched.
    targets = np.zeros((500, 2), np.int8)
    targets[::50, 0], targets[1::2, 1] = 1, 1
    seen = []

    class Counting(GlobalThreshold):
        def find(self, probabilities, targets):
            seen.append((targets == 1).sum(0).tolist())
            return super().find(probabilities, targets)

    held_out_labels(Counting(), np.full(targets.shape, 0.5, np.float32), targets)
    assert seen == [[8, 200]] * 5


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: f"{search.kind} {search.describe_score()}")
def test_a_fold_may_have_all_positives_of_a_class(search):
    probabilities, targets = noise(20, 3, 0.4)
    targets[:, 0] = 0
    targets[4, 0] = 1
    labels = held_out_labels(search, probabilities, targets)
    assert labels.shape == targets.shape and labels.dtype == bool
    if isinstance(search, AtPrecision):
        assert not labels[4, 0]


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: f"{search.kind} {search.describe_score()}")
def test_fewer_images_than_folds(search, rows):
    probabilities, targets = np.full((rows, 2), 0.7, np.float32), np.ones((rows, 2), np.int8)
    found = find(search, probabilities, targets)
    assert found.search["folds"] == rows and found.search["images"] == rows
    assert found.search["optimistic"] == 1
    if rows == 1:  # nothing to learn from: one half stands, or the label is never given
        labels = held_out_labels(search, probabilities, targets)
        assert labels.all() if not isinstance(search, AtPrecision) else not labels.any()


def test_groups_are_cut_as_the_rest_is():
    probabilities, targets = noise(40, 4, 0.3)
    search = exclusive_groups([["a", "b"]], OWN, "abcd")
    found = find(search, probabilities, targets)
    labels = held_out_labels(search, probabilities, targets)
    assert (labels[:, :2].sum(1) == 1).all()
    assert found.search["honest"] < found.search["optimistic"]
    assert found.to_dict("abcd")["search"]["score"] == "F1 (macro)"


def test_what_is_not_searched_needs_no_images():
    found = find(FixedPolicy(0.4), *noise(3))
    assert found.search is None and "search" not in found.to_dict("abcdef")


def test_without_a_label_there_is_nothing_to_search_on():
    with pytest.raises(UserError, match=r"^policy=per_class needs labels to search on, and none of the 3 images has"):
        find(OWN, np.zeros((3, 2), np.float32), np.array([[0, -1]] * 3, np.int8))
