"""The likeliest labels of each image."""

import numpy as np
import pytest
import torch

from polytag.errors import UserError
from polytag.policy.top_k import TopK

PROBABILITIES = np.array([[0.1, 0.9, 0.5, 0.7], [0.3, 0.3, 0.3, 0.2], [0, 0, 0, 0]], np.float32)


def given(policy):
    return [np.flatnonzero(row).tolist() for row in policy.decide(PROBABILITIES)]


def test_the_likeliest_and_of_equal_ones_the_first():
    assert given(TopK(1)) == [[1], [0], [0]]
    assert given(TopK(2)) == [[1, 3], [0, 1], [0, 1]]
    assert given(TopK()) == [[1, 2, 3], [0, 1, 2], [0, 1, 2]]


def test_of_fewer_classes_all():
    assert TopK(9).decide(PROBABILITIES).all()


def test_each_must_be_likely_enough():
    assert given(TopK(3, at_least=0.3)) == [[1, 2, 3], [0, 1, 2], []]
    assert given(TopK(3, at_least=0.6)) == [[1, 3], [], []]


def test_a_tensor_comes_back_as_one():
    labels = TopK(2).decide(torch.from_numpy(PROBABILITIES))
    assert labels.dtype == torch.bool and labels.tolist() == TopK(2).decide(PROBABILITIES).tolist()
    assert TopK(2).decide(PROBABILITIES[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("k", value) for value in (0, -1, 1.5, "all", None, True)),
        *(("at_least", value) for value in (-0.1, 1.1, "x")),
    ],
)
def test_mistakes_are_named(option, value):
    with pytest.raises(UserError, match=rf"^policy\.{option}={value}\b.*$"):
        TopK(**{option: value})
