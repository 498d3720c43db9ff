"""The predictions that all scores are tried on, and the scores of conf/metrics."""

import hydra
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from polytag.commands import conf_dir
from polytag.metrics.evaluation import Evaluation

UNKNOWN = -1


@pytest.fixture(scope="session")
def evaluation_of():
    """Return a function that makes an evaluation of lists, in 32 bits."""

    def make(probabilities, targets, threshold=0.5):
        scores = torch.from_numpy(np.asarray(probabilities, np.float32))
        return Evaluation(scores, torch.from_numpy(np.asarray(targets, np.int8)), scores >= threshold)

    return make


def load_metrics(name):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return dict(hydra.utils.instantiate(compose(f"metrics/{name}").metrics))


@pytest.fixture(scope="session")
def default_metrics():
    return load_metrics("default")


@pytest.fixture(scope="session")
def all_metrics():
    return load_metrics("all")


def random_case(seed, rows=40, classes=5):
    generator = np.random.default_rng(seed)
    return generator.random((rows, classes), np.float32), (generator.random((rows, classes)) < 0.4).astype(np.int8)


def with_targets(seed, change):
    probabilities, targets = random_case(seed)
    change(targets)
    return probabilities, targets


def ties():
    probabilities, targets = random_case(4)
    return np.round(probabilities * 4) / 4, targets


def certain():
    """Return probabilities that are exactly 0 or 1, but for a few."""
    probabilities, targets = random_case(10)
    return np.where(probabilities < 0.9, (probabilities < 0.4).astype(np.float32), probabilities), targets


def unlabelled_rows():
    probabilities, targets = random_case(7)
    targets[::3] = 0
    probabilities[::6] = 0
    return probabilities, targets


def no_positives(targets):
    targets[:, 2] = 0


def only_positives(targets):
    targets[:, 1] = 1


def all_labels(targets):
    targets[::4] = 1


COMPLETE = {
    "random": random_case(0),
    "ties": ties(),
    "exactly 0 and 1": certain(),
    "a class without positives": with_targets(1, no_positives),
    "a class of positives only": with_targets(5, only_positives),
    "nothing predicted": (random_case(6)[0] * 0, random_case(6)[1]),
    "all probabilities equal": (np.full((40, 5), 0.4, np.float32), random_case(2)[1]),
    "rows without labels": unlabelled_rows(),
    "rows with all labels": with_targets(3, all_labels),
    "float64": (np.random.default_rng(11).random((40, 5)), random_case(11)[1]),
    "one row": (np.array([[0.9, 0.2, 0.6]], np.float32), np.array([[1, 0, 1]], np.int8)),
    "one row of positives": (np.array([[0.9, 0.2, 0.6]], np.float32), np.array([[1, 1, 1]], np.int8)),
}


def hidden(seed, share, case=None):
    """Return a case of which a share of the targets is unknown, and all of the first row."""
    probabilities, targets = case or random_case(seed)
    targets = np.where(np.random.default_rng(seed).random(targets.shape) < share, UNKNOWN, targets)
    targets[0] = UNKNOWN
    return probabilities, targets.astype(np.int8)


def unknown_class():
    probabilities, targets = hidden(22, 0.2)
    targets[:, 3] = UNKNOWN
    return probabilities, targets


def known_positives():
    """Return targets where all that is known of a class or an image is present."""
    probabilities, targets = hidden(23, 0.2)
    targets[:, 2][targets[:, 2] == 0] = UNKNOWN
    targets[5][targets[5] == 0] = UNKNOWN
    return probabilities, targets


PARTIAL = {
    "some unknown": hidden(20, 0.2),
    "most unknown": hidden(21, 0.8),
    "some unknown, ties": hidden(4, 0.3, ties()),
    "a class of which nothing is known": unknown_class(),
    "only positives known": known_positives(),
    "one class": random_case(8, classes=1),
    "one class, some unknown": hidden(9, 0.3, random_case(9, classes=1)),
    "one class, one row": (np.array([[0.7]], np.float32), np.array([[1]], np.int8)),
}
CASES = COMPLETE | PARTIAL


def as_evaluation(case):
    """Return the evaluation of a case, decided at 0.3, in the case's own precision."""
    probabilities, targets = (torch.from_numpy(np.array(part)) for part in case)
    return Evaluation(probabilities, targets.to(torch.int8), probabilities >= 0.3)


@pytest.fixture(params=COMPLETE)
def complete_case(request):
    """Return an evaluation in which all is known, of more than one class."""
    return as_evaluation(COMPLETE[request.param])


@pytest.fixture(params=CASES)
def any_case(request):
    return as_evaluation(CASES[request.param])
