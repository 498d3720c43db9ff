"""Outputs of an epoch: gathered over the ranks, each row once, so that scores are those of one process."""

import math

import hydra
import pytest
import torch
from fake.ranks import gather_on_ranks
from hydra import compose, initialize_config_dir

from polytag.commands import conf_dir
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import score_all


@pytest.fixture(scope="module")
def all_metrics():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return dict(hydra.utils.instantiate(compose("metrics/all").metrics))


def predictions(rows, unknown):
    """Return logits and targets of some rows and four classes, a third of the targets perhaps unknown."""
    generator = torch.Generator().manual_seed(rows)
    targets = (torch.rand(rows, 4, generator=generator) < 0.5).to(torch.int8)
    if unknown:
        targets[torch.rand(rows, 4, generator=generator) < 0.3] = -1
    return torch.randn(rows, 4, generator=generator), targets


def scores_of(metrics, logits, targets):
    probabilities = torch.sigmoid(logits)
    return score_all(metrics, Evaluation(probabilities, targets, probabilities >= 0.5))


@pytest.mark.parametrize(("batch_size", "unknown"), [(3, False), (2, True)])
def test_scores_of_two_ranks_are_those_of_one(tmp_path, all_metrics, batch_size, unknown):
    logits, targets = predictions(7, unknown)
    torch.save((logits, targets), tmp_path / "outputs.pt")
    gather_on_ranks(2, tmp_path, batch_size)
    (first, rows_of_first), (second, rows_of_second) = (torch.load(tmp_path / f"rank_{rank}.pt") for rank in (0, 1))
    assert rows_of_first.tolist() == [0, 2, 4, 6]
    assert rows_of_second.tolist() == [1, 3, 5, 0]  # padded with the first row, so that both have four
    for gathered_logits, gathered_targets in (first, second):
        assert torch.equal(gathered_logits, logits + 1)  # of the second epoch alone
        assert torch.equal(gathered_targets, targets) and gathered_targets.dtype == torch.int8
    expected = scores_of(all_metrics, logits + 1, targets)
    assert not any(math.isnan(value) for value in expected.values())
    assert scores_of(all_metrics, *first) == expected
    # The row that both have would have moved nearly all scores.
    padded = torch.cat([rows_of_first, rows_of_second])
    twice = scores_of(all_metrics, (logits + 1)[padded], targets[padded])
    assert sum(twice[name] != expected[name] for name in expected) > 20
