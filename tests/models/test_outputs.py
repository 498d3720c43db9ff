"""The outputs of an epoch: each image once, however often it was shown."""

import torch

from polytag.data.dataset import FeatureBatch
from polytag.models.classifier import Outputs


def add(outputs, number, logits, rows):
    targets = torch.tensor(rows, dtype=torch.int8)[:, None]
    batch = FeatureBatch(torch.zeros(len(rows), 1), targets, torch.tensor(rows))
    outputs.update(torch.tensor(logits)[:, None], batch, number)


def test_an_image_that_comes_again_counts_once_as_it_was_seen_first():
    outputs = Outputs()
    for number, (logits, rows) in enumerate((([1.0, 2.0], [7, 3]), ([3.0, 4.0], [3, 0]), ([5.0, 6.0], [7, 7]))):
        add(outputs, number, logits, rows)
    logits, targets = outputs.compute()
    assert logits.flatten().tolist() == [4.0, 2.0, 1.0]  # rows 0, 3 and 7
    assert targets.flatten().tolist() == [0, 3, 7] and targets.dtype == torch.int8


def test_which_came_first_does_not_depend_on_who_has_seen_it():
    """A rank hands over what it has seen in one piece: late batches of the first come before early ones of another."""
    outputs = Outputs()
    add(outputs, 0, [1.0], [2])
    add(outputs, 5, [2.0], [9])
    add(outputs, 0, [3.0], [9])
    collected = outputs.collected()
    assert outputs.compute()[0].flatten().tolist() == [1.0, 3.0]
    gone_on = Outputs()
    gone_on.take_up(collected)
    add(gone_on, 6, [4.0], [2])
    assert gone_on.compute()[0].flatten().tolist() == [1.0, 3.0]
