"""The heads: their layers and what they compute."""

import pytest
import torch
from torch import nn

from polytag.models.heads import HEADS, DenseHead, FastaiHead, LinearHead


def test_the_fastai_head_has_the_lessons_layers():
    head = FastaiHead(width=512, num_classes=17)
    kinds = [type(layer).__name__ for layer in head.layers]
    assert kinds == ["BatchNorm1d", "Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    assert (head.layers[0].num_features, head.layers[1].p) == (1024, 0.25)
    assert (head.layers[2].in_features, head.layers[2].out_features) == (1024, 512)
    assert (head.layers[4].num_features, head.layers[5].p) == (512, 0.5)
    assert (head.layers[6].in_features, head.layers[6].out_features) == (512, 17)
    # Kaiming: the variance of a weight is 2 / fan-in.
    assert head.layers[2].weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.02)
    assert not head.layers[6].bias.any()


def test_the_fastai_head_joins_average_and_maximum():
    head = FastaiHead(width=2, num_classes=4)
    head.layers = nn.Identity()
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[-1.0, -1.0], [-1.0, -5.0]]]])
    assert head(features).tolist() == [[3.0, -2.0, 6.0, -1.0]]


def test_the_linear_head_is_one_layer():
    head = LinearHead(2, 3)
    nn.init.ones_(head.fc.weight)
    nn.init.zeros_(head.fc.bias)
    assert head(torch.tensor([[2.0, 5.0]])).tolist() == [[7.0, 7.0, 7.0]]
    assert head.dropout.p == 0


def test_the_dense_head_starts_as_keras_does():
    # VGG16's 512 channels and 5 labels: uniform within the square root of 6 / 517, which is 0.10773; the standard
    # deviation of that is 0.10773 divided by the square root of 3.
    torch.manual_seed(0)
    head = DenseHead(512, 5)
    assert 0.1070 < head.fc.weight.abs().max().item() <= 0.107728
    assert head.fc.weight.std().item() == pytest.approx(0.062197, rel=0.03)
    assert head.fc.weight.mean().item() == pytest.approx(0, abs=0.004)
    assert not head.fc.bias.any()
    assert head.fc.bias.requires_grad


def test_the_dense_head_is_one_layer():
    head = DenseHead(2, 3, dropout=0.2)
    nn.init.ones_(head.fc.weight)
    assert head.eval()(torch.tensor([[2.0, 5.0]])).tolist() == [[7.0, 7.0, 7.0]]
    assert (head.dropout.p, DenseHead(2, 3).dropout.p) == (0.2, 0)


def test_each_head_says_what_it_takes():
    takes = {name: head.takes for name, head in HEADS.items()}
    assert takes == {"linear": "pooled", "dense": "pooled", "fastai": "map"}
