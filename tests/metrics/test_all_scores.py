"""Every score of conf/metrics/all.yaml against scikit-learn and torchmetrics, with and without weights."""

import math
from statistics import harmonic_mean

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_calibration_error

from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import score_all

DEFAULT = ["map", "f2", "f1_micro", "f1_macro", "accuracy", "accuracy_policy", "exact_match"]
NOT_THERE = {"zero_division": 0}


def arrays(evaluation):
    return evaluation.probabilities.numpy(), evaluation.targets.numpy(), evaluation.decisions.numpy()


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def calibration(probabilities, targets):
    # torchmetrics has a bin of its own for 1, beside the last of the 15: what is a hair below falls into that
    below_one = torch.from_numpy(np.minimum(probabilities, 1 - 1e-7))
    return binary_calibration_error(below_one, torch.from_numpy(targets), n_bins=15, norm="l1").item()


def voc07(probabilities, targets):
    precision, recall, _ = sk.precision_recall_curve(targets, probabilities)
    precision, recall = precision[:-1], recall[:-1]  # without the 1 at a recall of 0 that scikit-learn adds
    return mean(precision[recall >= tenths / 10 - 1e-9].max() for tenths in range(11))


def of_decisions(targets, decisions, columns):
    """Return scikit-learn's scores of decisions by its own averages; the macro ones over some columns."""
    truth, given = targets[:, columns], decisions[:, columns]
    macro, micro, samples = ({"average": name, **NOT_THERE} for name in ("macro", "micro", "samples"))
    cp, cr = sk.precision_score(truth, given, **macro), sk.recall_score(truth, given, **macro)
    op, recall = sk.precision_score(targets, decisions, **micro), sk.recall_score(targets, decisions, **micro)
    return {
        "f2": sk.fbeta_score(targets, decisions, beta=2, **samples),
        "f1_micro": sk.f1_score(targets, decisions, **micro),
        "f1_macro": sk.f1_score(truth, given, **macro),
        "f2_micro": sk.fbeta_score(targets, decisions, beta=2, **micro),
        "f2_macro": sk.fbeta_score(truth, given, beta=2, **macro),
        "f1_images": sk.f1_score(targets, decisions, **samples),
        "precision_macro": cp,
        "recall_macro": cr,
        "cf1": harmonic_mean([cp, cr]),
        "precision_micro": op,
        "recall_micro": recall,
        "of1": harmonic_mean([op, recall]),
        "precision_images": sk.precision_score(targets, decisions, **samples),
        "recall_images": sk.recall_score(targets, decisions, **samples),
        "jaccard_images": sk.jaccard_score(targets, decisions, **samples),
        "jaccard_micro": sk.jaccard_score(targets, decisions, **micro),
        "jaccard_macro": sk.jaccard_score(truth, given, **macro),
        "hamming_loss": sk.hamming_loss(targets, decisions),
        "accuracy_policy": 1 - sk.hamming_loss(targets, decisions),
        "exact_match": 1 - sk.zero_one_loss(targets, decisions),
    }


def of_order(probabilities, targets, columns):
    """Return scikit-learn's scores of the order by its own averages; those of classes over some columns."""
    truth, likely = targets[:, columns], probabilities[:, columns]
    both = [column for column in columns if len(set(targets[:, column])) == 2]
    flat = targets.ravel(), probabilities.ravel()
    return {
        "map": sk.average_precision_score(truth, likely, average="macro"),
        "map_micro": sk.average_precision_score(targets, probabilities, average="micro"),
        "map_weighted": sk.average_precision_score(truth, likely, average="weighted"),
        "map_voc07": mean(voc07(probabilities[:, column], targets[:, column]) for column in columns),
        "auc": sk.roc_auc_score(targets[:, both], probabilities[:, both], average="macro") if both else math.nan,
        "auc_micro": sk.roc_auc_score(*flat) if len(set(flat[0])) == 2 else math.nan,
        "ranking_loss": sk.label_ranking_loss(targets, probabilities),
        "coverage": sk.coverage_error(targets, probabilities),
        "lrap": sk.label_ranking_average_precision_score(targets, probabilities),
        "calibration_error": mean(calibration(*pair) for pair in zip(probabilities.T, targets.T, strict=True)),
        "accuracy": sk.accuracy_score(targets.ravel(), probabilities.ravel() >= 0.5),
    }


def test_equal_to_scikit_learn_where_all_is_known(complete_case, all_metrics):
    probabilities, targets, decisions = arrays(complete_case)
    columns = np.flatnonzero(targets.any(0))  # scikit-learn counts 0, with a warning, for a class without positives
    expected = of_order(probabilities, targets, columns) | of_decisions(targets, decisions, columns)
    assert score_all(all_metrics, complete_case) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def known_parts(evaluation):
    """Return the known entries of each class, of each image, and of all, as `(probabilities, targets, decisions)`.

    Of the images also those that count in the scores of their decisions: some label is known to be there, or all is
    known.
    """
    whole = arrays(evaluation)
    known = whole[1] >= 0
    classes = [tuple(part[:, column][known[:, column]] for part in whole) for column in range(known.shape[1])]
    images = [tuple(part[row][known[row]] for part in whole) for row in range(len(known)) if known[row].any()]
    decided = [part for part in images if part[1].any() or len(part[1]) == known.shape[1]]
    return [part for part in classes if len(part[1])], images, decided, tuple(part[known] for part in whole)


def ranking_scores_of(images):
    """Return the scores of each image's order; scikit-learn wants two labels, and of one label there is no order."""
    found = []
    for likely, truth, _ in images:
        if len(truth) == 1:
            found.append((0.0, float(truth[0]), 1.0))
        else:
            row = truth[None], likely[None]
            precision = sk.label_ranking_average_precision_score(*row)
            found.append((sk.label_ranking_loss(*row), sk.coverage_error(*row), precision))
    return (mean(column) for column in zip(*found, strict=True))


def test_equal_to_scikit_learn_on_what_is_known(any_case, all_metrics):
    classes, images, decided, (likely, truth, given) = known_parts(any_case)
    with_positives = [part for part in classes if part[1].any()]
    with_both = [part for part in with_positives if not part[1].all()]

    def over(parts, score, **options):
        return mean(score(target, decision, **options, **NOT_THERE) for _, target, decision in parts)

    precisions = [sk.average_precision_score(target, probability) for probability, target, _ in with_positives]
    supports = [int(target.sum()) for _, target, _ in with_positives]
    loss, coverage, lrap = ranking_scores_of(images)
    cp, cr = over(with_positives, sk.precision_score), over(with_positives, sk.recall_score)
    op, recall = sk.precision_score(truth, given, **NOT_THERE), sk.recall_score(truth, given, **NOT_THERE)
    expected = {
        "map": mean(precisions),
        "map_micro": sk.average_precision_score(truth, likely),
        "map_weighted": np.average(precisions, weights=supports),
        "map_voc07": mean(voc07(probability, target) for probability, target, _ in with_positives),
        "auc": mean(sk.roc_auc_score(target, probability) for probability, target, _ in with_both),
        "auc_micro": sk.roc_auc_score(truth, likely) if len(set(truth)) == 2 else math.nan,
        "ranking_loss": loss,
        "coverage": coverage,
        "lrap": lrap,
        "f2": over(decided, sk.fbeta_score, beta=2),
        "f2_macro": over(with_positives, sk.fbeta_score, beta=2),
        "f2_micro": sk.fbeta_score(truth, given, beta=2, **NOT_THERE),
        "f1_images": over(decided, sk.f1_score),
        "f1_macro": over(with_positives, sk.f1_score),
        "f1_micro": sk.f1_score(truth, given, **NOT_THERE),
        "precision_macro": cp,
        "recall_macro": cr,
        "cf1": harmonic_mean([cp, cr]),
        "precision_micro": op,
        "recall_micro": recall,
        "of1": harmonic_mean([op, recall]),
        "precision_images": over(decided, sk.precision_score),
        "recall_images": over(decided, sk.recall_score),
        "jaccard_images": over(decided, sk.jaccard_score),
        "jaccard_micro": sk.jaccard_score(truth, given, **NOT_THERE),
        "jaccard_macro": over(with_positives, sk.jaccard_score),
        "accuracy": sk.accuracy_score(truth, likely >= 0.5),
        "accuracy_policy": sk.accuracy_score(truth, given),
        "hamming_loss": sk.zero_one_loss(truth, given),
        "exact_match": mean(float(np.array_equal(target, decision)) for _, target, decision in images),
        "calibration_error": mean(calibration(probability, target) for probability, target, _ in classes),
    }
    assert score_all(all_metrics, any_case) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_the_names_and_their_order(default_metrics, all_metrics):
    assert list(default_metrics) == DEFAULT
    assert list(all_metrics)[:7] == DEFAULT
    assert len(all_metrics) == 31


def test_weights_are_repeated_rows(any_case, all_metrics):
    generator = torch.Generator().manual_seed(3)
    weights = torch.randint(0, 4, (3, len(any_case)), generator=generator).double()
    weights[1] = 0  # no image at all
    weights[2, 0] = 5
    images = torch.arange(len(any_case))
    apart = [any_case.rows(images.repeat_interleave(each.long())) for each in weights]
    for name, score in all_metrics.items():
        together = score(any_case.resampled(weights))
        assert (together.shape, together.dtype) == ((3,), torch.float64), name
        one_by_one = [float(score(one)) for one in apart]
        assert together.tolist() == pytest.approx(one_by_one, abs=1e-12, nan_ok=True), name


def test_weights_that_change_nothing(any_case, all_metrics):
    ones = torch.ones(1, len(any_case), dtype=torch.float64)
    weighted = any_case.resampled(ones)
    for name, score in all_metrics.items():
        found = score(any_case)
        assert (found.shape, found.dtype) == ((1,), torch.float64), name
        assert float(score(weighted)) == pytest.approx(float(found), abs=1e-12, nan_ok=True), name


def test_what_was_scored_before_does_not_show(any_case, all_metrics):
    """Rankings and counts are kept between scores and between weights: never those of other weights."""
    shuffled = torch.from_numpy(
        np.random.default_rng(1).multinomial(len(any_case), [1 / len(any_case)] * len(any_case))
    )
    weights = shuffled.double().unsqueeze(0)
    fresh = {name: score(Evaluation(*parts(any_case), weights)) for name, score in all_metrics.items()}
    score_all(all_metrics, any_case)
    used = any_case.resampled(weights)
    for name, score in reversed(all_metrics.items()):
        assert score(used).tolist() == pytest.approx(fresh[name].tolist(), nan_ok=True), name


def parts(evaluation):
    return evaluation.probabilities, evaluation.targets, evaluation.decisions


def test_without_any_row_nothing_has_a_score(all_metrics, evaluation_of):
    nothing = evaluation_of(np.zeros((0, 3)), np.zeros((0, 3)))
    for name, score in all_metrics.items():
        assert score(nothing).shape == (1,), name
        weighted = score(nothing.resampled(torch.zeros(2, 0, dtype=torch.float64)))
        assert weighted.shape == (2,) and weighted.isnan().all(), name
    assert all(math.isnan(value) for value in score_all(all_metrics, nothing).values())


def test_where_nothing_is_known_nothing_has_a_score(all_metrics, evaluation_of):
    found = score_all(all_metrics, evaluation_of(np.full((4, 3), 0.7), np.full((4, 3), -1)))
    assert all(math.isnan(value) for value in found.values()), found


def test_what_is_unknown_may_be_predicted_anyhow(any_case, all_metrics):
    """Neither probabilities nor decisions of unknown entries move a score."""
    unknown = any_case.targets == -1
    probabilities = torch.where(unknown, 1 - any_case.probabilities, any_case.probabilities)
    other = Evaluation(probabilities, any_case.targets, any_case.decisions ^ unknown)
    assert score_all(all_metrics, other) == pytest.approx(score_all(all_metrics, any_case), abs=1e-12, nan_ok=True)


def test_without_any_positive(all_metrics, evaluation_of):
    found = score_all(all_metrics, evaluation_of(np.full((2, 3), 0.1), np.zeros((2, 3))))
    undefined = {name for name, value in found.items() if math.isnan(value)}
    macro = {name for name in found if name.endswith("_macro")} | {"cf1"}
    assert undefined == {"map", "map_micro", "map_weighted", "map_voc07", "auc", "auc_micro"} | macro
    ones = {"accuracy", "accuracy_policy", "exact_match", "lrap"}
    rest = {name: value for name, value in found.items() if name not in undefined | {"calibration_error"}}
    assert rest == {name: float(name in ones) for name in rest}
    assert found["calibration_error"] == pytest.approx(0.1)


def test_without_any_negative(all_metrics, evaluation_of):
    found = score_all(all_metrics, evaluation_of(np.full((2, 3), 0.9), np.ones((2, 3))))
    assert {name for name, value in found.items() if math.isnan(value)} == {"auc", "auc_micro"}
    zeros = {"ranking_loss", "hamming_loss"}
    rest = {name: found[name] for name in found if name not in {"auc", "auc_micro", "coverage", "calibration_error"}}
    assert rest == {name: float(name not in zeros) for name in rest}
    assert (found["coverage"], found["calibration_error"]) == (3, pytest.approx(0.1))


def test_boolean_targets_and_64_bits_are_taken_too(all_metrics, complete_case):
    expected = score_all(all_metrics, complete_case)
    other = Evaluation(complete_case.probabilities.double(), complete_case.targets.bool(), complete_case.decisions)
    assert score_all(all_metrics, other) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_what_64_bits_tell_apart_is_no_tie(all_metrics):
    probabilities = torch.tensor([[0.5 + 1e-12], [0.5]], dtype=torch.float64)
    first_right = torch.tensor([[1], [0]], dtype=torch.int8)
    found = score_all(all_metrics, Evaluation(probabilities, first_right, probabilities >= 0.5))
    assert (found["map"], found["auc"]) == (1, 1)
    found = score_all(all_metrics, Evaluation(probabilities.float(), first_right, probabilities >= 0.5))
    assert (found["map"], found["auc"]) == (0.5, 0.5)


@pytest.mark.parametrize("levels", [3, 50, 10**6])
def test_map_is_torchmetrics_for_any_number_of_ties(levels, all_metrics):
    from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision

    generator = torch.Generator().manual_seed(levels)
    probabilities = torch.randint(levels + 1, (500, 7), generator=generator) / levels
    targets = (torch.rand(500, 7, generator=generator) < 0.2).to(torch.int8)
    found = score_all(all_metrics, Evaluation(probabilities, targets, probabilities >= 0.5))
    for name, average in (("map", "macro"), ("map_micro", "micro"), ("map_weighted", "weighted")):
        expected = multilabel_average_precision(probabilities, targets.int(), num_labels=7, average=average)
        assert found[name] == pytest.approx(expected.item(), abs=1e-6), name
    for name, average in (("auc", "macro"), ("auc_micro", "micro")):
        expected = multilabel_auroc(probabilities, targets.int(), num_labels=7, average=average)
        assert found[name] == pytest.approx(expected.item(), abs=1e-6), name


def test_torchmetrics_multilabel_family_says_the_same(all_metrics):
    from torchmetrics.functional import classification as tm

    generator = torch.Generator().manual_seed(5)
    probabilities = torch.rand(200, 6, generator=generator)
    targets = (torch.rand(200, 6, generator=generator) < 0.3).int()
    found = score_all(all_metrics, Evaluation(probabilities, targets.to(torch.int8), probabilities >= 0.5))
    expected = {
        "f2_macro": tm.multilabel_fbeta_score(probabilities, targets, 2.0, 6, average="macro"),
        "f2_micro": tm.multilabel_fbeta_score(probabilities, targets, 2.0, 6, average="micro"),
        "precision_macro": tm.multilabel_precision(probabilities, targets, 6, average="macro"),
        "recall_micro": tm.multilabel_recall(probabilities, targets, 6, average="micro"),
        "jaccard_macro": tm.multilabel_jaccard_index(probabilities, targets, 6, average="macro"),
        "hamming_loss": tm.multilabel_hamming_distance(probabilities, targets, 6, average="micro"),
        "exact_match": tm.multilabel_exact_match(probabilities, targets, 6),
        "ranking_loss": tm.multilabel_ranking_loss(probabilities, targets, 6),
        "coverage": tm.multilabel_coverage_error(probabilities, targets, 6),
        "lrap": tm.multilabel_ranking_average_precision(probabilities, targets, 6),
    }
    assert {name: found[name] for name in expected} == pytest.approx(
        {name: value.item() for name, value in expected.items()}, abs=1e-6
    )
