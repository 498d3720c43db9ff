"""The bootstrap: resamples, intervals and comparisons."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import multilabel_fbeta_score

from polytag.errors import UserError
from polytag.metrics import bootstrap as module
from polytag.metrics.bootstrap import bootstrap, interval, paired_bootstrap, resample
from polytag.metrics.decision_scores import accuracy, exact_match, f_beta
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.ranking_scores import average_precision

MAP, F2, MATCH = {"map": average_precision}, {"f2": f_beta}, {"match": exact_match}


def random_evaluation(rows=60, classes=4, seed=0, skill=0.3):
    generator = np.random.default_rng(seed)
    targets = (np.random.default_rng(99).random((rows, classes)) < 0.3).astype(np.int8)
    noise = generator.random((rows, classes), np.float32)
    probabilities = torch.from_numpy((skill * targets + (1 - skill) * noise).astype(np.float32))
    return Evaluation(probabilities, torch.from_numpy(targets), probabilities >= 0.5)


def right_or_wrong(*right):
    """Return one class that is there in all images, and was found in some."""
    decisions = torch.tensor(right, dtype=torch.bool).unsqueeze(1)
    return Evaluation(decisions.float(), torch.ones_like(decisions), decisions)


def drawn(images, resamples, seed, chunk):
    return torch.cat(list(resample(images, resamples, seed, chunk)))


@pytest.mark.parametrize("chunk", [1, 3, 7, 19, 20, 1000])
def test_resamples_do_not_depend_on_the_chunk(chunk):
    found = drawn(7, 20, seed=5, chunk=chunk)
    assert found.shape == (20, 7) and found.dtype == torch.float64
    assert torch.equal(found, drawn(7, 20, seed=5, chunk=20))
    assert (found.sum(1) == 7).all()


def test_a_seed_is_a_sequence_of_resamples():
    first, second = drawn(50, 10, seed=1, chunk=10), drawn(50, 10, seed=2, chunk=10)
    assert not torch.equal(first, second)
    assert len({tuple(row.tolist()) for row in torch.cat([first, second])}) == 20


def test_images_are_drawn_equally_often():
    # 10,000 resamples of 10: each image 10,000 times, give or take sqrt(100,000 * 0.1 * 0.9) = 95
    assert drawn(10, 10_000, seed=0, chunk=3_000).sum(0).tolist() == pytest.approx([10_000] * 10, abs=400)


@pytest.mark.parametrize("chunk", [1, 500, 10**6])
def test_scores_do_not_depend_on_the_chunk(monkeypatch, all_metrics, chunk):
    evaluation = random_evaluation()
    expected = bootstrap(all_metrics, evaluation, 7, seed=3)
    monkeypatch.setattr(module, "CHUNK", chunk)
    found = bootstrap(all_metrics, evaluation, 7, seed=3)
    assert list(found) == list(all_metrics)
    for name, values in found.items():
        assert (values.shape, values.dtype) == ((7,), np.float64), name
        assert values == pytest.approx(expected[name], abs=1e-12), name


def test_resamples_are_scored_as_their_rows_would_be():
    evaluation = random_evaluation()
    found = bootstrap(MAP, evaluation, 5, seed=8)["map"]
    images = np.arange(60)
    for value, counts in zip(found, drawn(60, 5, seed=8, chunk=5), strict=True):
        rows = np.repeat(images, counts.long().numpy())
        targets, probabilities = evaluation.targets.numpy()[rows], evaluation.probabilities.numpy()[rows]
        assert value == pytest.approx(average_precision_score(targets, probabilities, average="macro"))


def torchmetrics_f2(evaluation):
    return multilabel_fbeta_score(evaluation.decisions.int(), evaluation.targets.int(), 2.0, 4, average="micro")


OWN = {
    "a scalar": torchmetrics_f2,
    "a tensor of one": lambda evaluation: torchmetrics_f2(evaluation).unsqueeze(0),
    "a float": lambda evaluation: torchmetrics_f2(evaluation).item(),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("chunk", [1, 10**6])
def test_a_score_that_knows_nothing_of_weights_is_resampled_too(monkeypatch, kind, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    evaluation = random_evaluation()
    metrics = {"own": OWN[kind], "ours": lambda one: f_beta(one, 2.0, "micro")}
    found = bootstrap(metrics, evaluation, 6, seed=1)
    rows = [torch.arange(60).repeat_interleave(counts.long()) for counts in drawn(60, 6, seed=1, chunk=6)]
    by_hand = [torchmetrics_f2(evaluation.rows(index)).item() for index in rows]
    assert len(set(by_hand)) > 1
    assert found["own"] == pytest.approx(by_hand, abs=1e-7)
    assert found["ours"] == pytest.approx(by_hand, abs=1e-6)


def test_all_resamples_of_two_images():
    # Image 1 is right, image 2 wrong. Drawn (1, 1), (1, 2), (2, 1), (2, 2), each a quarter of the time: 1, 1/2, 1/2, 0.
    values = bootstrap(MATCH, right_or_wrong(1, 0), 4000)["match"]
    shares = {share: (values == share).mean() for share in (0, 0.5, 1)}
    assert sum(shares.values()) == 1
    assert shares == pytest.approx({0: 0.25, 0.5: 0.5, 1: 0.25}, abs=0.03)  # four standard errors
    assert interval(values) == (0, 1)


def test_an_interval_of_a_share_is_that_of_the_binomial():
    # 140 of 200: 0.7, with a standard error of sqrt(0.7 * 0.3 / 200) = 0.0324; 95 % are within 1.96 of these.
    values = bootstrap({"accuracy": accuracy}, right_or_wrong(*[1] * 140, *[0] * 60), 4000)["accuracy"]
    assert values.mean() == pytest.approx(0.7, abs=0.003)
    assert interval(values) == pytest.approx((0.6365, 0.7635), abs=0.006)
    assert interval(values, confidence=0.5) == pytest.approx((0.678, 0.722), abs=0.006)  # 0.6745 of these


def test_nineteen_of_twenty_intervals_cover_the_truth():
    generator = np.random.default_rng(0)
    covered = 0
    for experiment in range(200):
        right = generator.random(200) < 0.7
        low, high = interval(bootstrap(MATCH, right_or_wrong(*right.tolist()), 300, experiment)["match"])
        covered += low <= 0.7 <= high
    assert 181 <= covered <= 198  # 190, give or take three standard errors of 3.1; the most is 200


def test_where_a_resample_has_no_positive_it_does_not_count():
    # One positive among ten, the likeliest: (9/10)^10 = 35 % of the resamples lack it, and all others score 1.
    targets = torch.zeros(10, 1, dtype=torch.int8)
    targets[0] = 1
    evaluation = Evaluation(torch.linspace(1, 0, 10).unsqueeze(1), targets, targets == 1)
    values = bootstrap(MAP, evaluation, 1000)["map"]
    assert np.isnan(values).mean() == pytest.approx(0.349, abs=0.05)
    assert interval(values) == (1, 1)


def test_a_score_that_is_never_defined_has_no_interval():
    evaluation = Evaluation(torch.rand(5, 2), torch.zeros(5, 2, dtype=torch.int8), torch.ones(5, 2, dtype=torch.bool))
    values = bootstrap(MAP, evaluation, 10)["map"]
    assert np.isnan(values).all() and len(values) == 10
    assert all(math.isnan(end) for end in interval(values))
    found = paired_bootstrap(MAP, evaluation, evaluation, 10)["map"]
    assert all(math.isnan(number) for number in (found.a, found.low, found.high, found.a_is_better))


def test_images_of_which_nothing_is_known_do_not_count():
    known = random_evaluation(rows=30)
    targets = torch.cat([known.targets, torch.full((30, 4), -1, dtype=torch.int8)])
    more = Evaluation(known.probabilities.repeat(2, 1), targets, known.decisions.repeat(2, 1))
    values = bootstrap(F2, more, 200)["f2"]
    assert not np.isnan(values).any()
    assert values.mean() == pytest.approx(f_beta(known).item(), abs=0.02)


@pytest.mark.parametrize("resamples", [0, -1])
def test_no_resample_is_refused(resamples):
    with pytest.raises(UserError, match=f"bootstrap={resamples} "):
        bootstrap(MATCH, right_or_wrong(1, 0), resamples)


def test_no_image_is_refused(all_metrics):
    nothing = Evaluation(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int8), torch.zeros(0, 2, dtype=torch.bool))
    with pytest.raises(UserError, match="no image"):
        bootstrap(all_metrics, nothing, 10)


def test_no_score_is_no_work():
    assert bootstrap({}, right_or_wrong(1), 10) == {}


def test_a_model_is_no_better_than_itself(all_metrics):
    evaluation = random_evaluation()
    for name, found in paired_bootstrap(all_metrics, evaluation, evaluation, 50).items():
        assert (found.low, found.high, found.a_is_better) == (0, 0, 0.5), name
        assert found.a == found.b, name


def test_a_clearly_better_model_is_surely_better():
    good, bad = random_evaluation(rows=200, skill=0.6), random_evaluation(rows=200, seed=1, skill=0.1)
    found = paired_bootstrap(MAP, good, bad, 500)["map"]
    assert found.a == pytest.approx(average_precision(good).item())
    assert found.b == pytest.approx(average_precision(bad).item())
    assert found.a_is_better > 0.99
    assert 0 < found.low < found.a - found.b < found.high
    turned = paired_bootstrap(MAP, bad, good, 500)["map"]
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.a_is_better == pytest.approx(1 - found.a_is_better)


def test_all_comparisons_on_two_images():
    # A is right on both, B on the first alone. Drawn (1, 1), (1, 2), (2, 1), (2, 2): A - B is 0, 1/2, 1/2, 1. A is
    # better in three quarters, and the tie counts half: 7/8.
    found = paired_bootstrap(MATCH, right_or_wrong(1, 1), right_or_wrong(1, 0), 4000)["match"]
    assert (found.a, found.b, found.low, found.high) == (1, 0.5, 0, 1)
    assert found.a_is_better == pytest.approx(7 / 8, abs=0.02)


def test_pairing_makes_the_interval_narrower():
    """Two models that differ in little are wrong on the same images."""
    good = random_evaluation(rows=150, skill=0.4)
    noise = torch.rand(150, 4, generator=torch.Generator().manual_seed(0))
    probabilities = 0.95 * good.probabilities + 0.05 * noise
    other = Evaluation(probabilities, good.targets, probabilities >= 0.5)
    paired = paired_bootstrap(MAP, good, other, 500)["map"]
    apart = bootstrap(MAP, good, 500, seed=1)["map"] - bootstrap(MAP, other, 500, seed=2)["map"]
    low, high = interval(apart)
    assert paired.high - paired.low < 0.5 * (high - low)


def test_other_images_cannot_be_compared():
    with pytest.raises(AssertionError, match="same images"):
        paired_bootstrap(MATCH, right_or_wrong(1, 1), right_or_wrong(1, 1, 1))
