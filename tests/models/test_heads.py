"""The heads: their layers and what they compute."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from timm.layers.ml_decoder import MLDecoder
from torch import nn

from polytag.errors import UserError
from polytag.models.heads import (
    HEADS,
    AttentionHead,
    CSRAHead,
    DenseHead,
    FastaiHead,
    LinearHead,
    MLDecoderHead,
    find_head,
)


def random_map(batch=2, width=6, height=3, columns=4, seed=0):
    return torch.randn(batch, width, height, columns, generator=torch.Generator().manual_seed(seed))


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


def test_csra_by_hand():
    """One channel of weight 1, so that the scores are the map: 0, 0 and ln 2, whose softmax is 1/4, 1/4 and 2/4."""
    head = CSRAHead(1, 1, lam=0.5, normalise=False)
    nn.init.ones_(head.scores.weight)
    places = torch.tensor([0.0, 0.0, math.log(2)]).view(1, 1, 1, 3)
    assert head(places).item() == pytest.approx(math.log(2) / 3 + 0.5 * math.log(2) / 2)
    assert head.attention(places).flatten().tolist() == pytest.approx([0.25, 0.25, 0.5])
    doubled = CSRAHead(1, 1, temperatures=[2], normalise=False)  # softmax of 0, 0 and ln 4
    nn.init.ones_(doubled.scores.weight)
    assert doubled.attention(places).flatten().tolist() == pytest.approx([1 / 6, 1 / 6, 4 / 6])


def test_csra_without_attention_is_a_linear_layer_on_the_mean():
    features, head = random_map(), CSRAHead(6, 5, lam=0.0, normalise=False)
    linear = F.linear(F.adaptive_avg_pool2d(features, 1).flatten(1), head.scores.weight.flatten(1))
    torch.testing.assert_close(head(features), linear)


def test_csra_at_an_infinite_temperature_adds_the_maximum():
    features = random_map()
    plain, peaked = CSRAHead(6, 5, lam=0.0), CSRAHead(6, 5, lam=0.3, temperatures=["max"])
    peaked.load_state_dict(plain.state_dict())
    scores = F.conv2d(features, plain.scores.weight / plain.scores.weight.norm(dim=1, keepdim=True))
    highest, where = F.max_pool2d(scores, (3, 4), return_indices=True)
    torch.testing.assert_close(peaked(features) - plain(features), 0.3 * highest.flatten(1))
    assert torch.equal(peaked.attention(features).flatten(2).argmax(2), where.flatten(1))
    assert torch.equal(peaked.attention(features).amax((2, 3)), torch.ones(2, 5))
    # So does, nearly, a very high one.
    high = CSRAHead(6, 5, lam=0.3, temperatures=[1e4])
    high.load_state_dict(plain.state_dict())
    torch.testing.assert_close(high(features), peaked(features))


def test_csra_shares_the_peak_among_equal_places():
    head = CSRAHead(1, 1, temperatures=["max"])
    nn.init.ones_(head.scores.weight)
    places = torch.tensor([[3.0, 1.0], [3.0, 0.0]]).view(1, 1, 2, 2).requires_grad_()
    assert head.attention(places).flatten().tolist() == [0.5, 0, 0.5, 0]
    head(places).backward()
    assert places.grad.flatten().tolist() == pytest.approx([0.25 + 0.05, 0.25, 0.25 + 0.05, 0.25])


def test_csra_heads_are_added_up():
    """The paper's two heads are one of temperature 1 and one of the maximum, each with weights of its own."""
    features, both = random_map(), CSRAHead(6, 5, num_heads=2)
    first, second = CSRAHead(6, 5), CSRAHead(6, 5, temperatures=["max"])
    for head, weights in zip((first, second), both.scores.weight.split(5), strict=True):
        head.load_state_dict({"scores.weight": weights.detach()})
    torch.testing.assert_close(both(features), first(features) + second(features))
    torch.testing.assert_close(both.attention(features), (first.attention(features) + second.attention(features)) / 2)


def test_csra_has_the_authors_temperatures():
    temperatures = {heads: CSRAHead(2, 1, num_heads=heads).temperatures for heads in (1, 2, 4, 6, 8)}
    assert temperatures == {
        1: (1,),
        2: (1, math.inf),
        4: (1, 2, 4, math.inf),
        6: (1, 2, 3, 4, 5, math.inf),
        8: (1, 2, 3, 4, 5, 6, 7, math.inf),
    }


def test_csra_weights_have_length_one_unless_told_otherwise():
    features, head = random_map(), CSRAHead(6, 5)
    before = head(features)
    with torch.no_grad():
        head.scores.weight.mul_(7)
    torch.testing.assert_close(head(features), before)
    free = CSRAHead(6, 5, normalise=False)
    before = free(features)
    with torch.no_grad():
        free.scores.weight.mul_(-1)
    assert not torch.allclose(free(features), before)


def timms(head, num_classes, groups=-1, width=768, channels=6):
    """Return timm's own module with a head's weights, called as torch 1 called its layers."""
    module = MLDecoder(num_classes, groups, width, channels)
    module.load_state_dict(head.decoder.state_dict())
    module.decoder.forward = lambda queries, places: module.decoder.layers[0](queries, places)
    return module.eval()


@pytest.mark.parametrize(
    ("num_classes", "groups", "queries", "width"),
    [(5, 100, 5, 768), (150, 100, 75, 64), (7, 3, 3, 64), (1, 1, 1, 8), (10, 6, 5, 16)],
)
def test_ml_decoder_is_timms(num_classes, groups, queries, width):
    features = random_map()
    head = MLDecoderHead(6, num_classes, groups=groups, decoder_width=width).eval()
    nn.init.normal_(head.decoder.duplicate_pooling_bias)
    logits = head(features)
    assert head.decoder.query_embed.weight.shape == (queries, width)
    assert logits.shape == (2, num_classes)
    torch.testing.assert_close(logits, timms(head, num_classes, queries, width)(features))


def test_ml_decoder_shows_the_weights_of_its_attention():
    """Two neighbouring classes share a query, and the last has one of its own."""
    features, head = random_map(), MLDecoderHead(6, 5, groups=3, decoder_width=16).eval()
    seen = []
    head.decoder.decoder.layers[0].multihead_attn.register_forward_hook(lambda *call: seen.append(call[2][1]))
    head(features)
    weights = seen[0].view(2, 3, 3, 4)  # of each query, the mean over the attention heads: torch's own
    torch.testing.assert_close(head.attention(features), weights[:, [0, 0, 1, 1, 2]])


def test_ml_decoder_queries_stay_and_everything_else_learns():
    head = MLDecoderHead(6, 5, groups=3, decoder_width=16)
    head(random_map()).square().sum().backward()
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in head.parameters())
    assert "decoder.query_embed.weight" in head.state_dict()
    assert "decoder.query_embed.weight" not in dict(head.named_parameters())


def test_the_dropout_of_map_heads_can_be_set():
    csra = CSRAHead(6, 5, dropout=0.5)
    dropped = csra.dropout(torch.ones(1, 400, 2, 2))  # whole channels, as a linear head would lose them
    assert {tuple(channel.flatten().tolist()) for channel in dropped[0]} == {(0.0,) * 4, (2.0,) * 4}
    decoder = MLDecoderHead(6, 5, dropout=0.3, decoder_width=16).decoder.decoder.layers[0]
    assert {part.p for part in decoder.modules() if isinstance(part, nn.Dropout)} == {0.3}
    assert decoder.multihead_attn.dropout == 0.3
    assert MLDecoderHead(6, 5, decoder_width=16).decoder.decoder.layers[0].dropout1.p == 0.1


ATTENTIVE = {
    "csra": CSRAHead(6, 5),
    "csra, eight heads": CSRAHead(6, 5, num_heads=8, dropout=0.5),
    "ml_decoder": MLDecoderHead(6, 5, decoder_width=16),
    "ml_decoder, groups": MLDecoderHead(6, 5, decoder_width=16, groups=2),
}


@pytest.mark.parametrize("name", ATTENTIVE)
@pytest.mark.parametrize("training", [True, False])
def test_attention_is_a_share_of_each_place_and_leaves_the_head_alone(name, training):
    features, head = random_map(), copy.deepcopy(ATTENTIVE[name]).train(training)
    before, state = copy.deepcopy(head.state_dict()), torch.get_rng_state()
    maps = head.attention(features)
    assert maps.shape == (2, 5, 3, 4) and (maps >= 0).all()
    torch.testing.assert_close(maps.sum((2, 3)), torch.ones(2, 5))
    assert torch.equal(head.attention(features), maps)  # no dropout
    assert head.training == training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())
    # The order of the places means nothing to a head, so neither does their shape.
    assert torch.equal(head.eval()(features), head(features.flatten(2).unsqueeze(-1)))


@pytest.mark.parametrize(
    ("name", "options"),
    [("csra", {"num_heads": 2, "lam": 1.0, "normalise": False}), ("ml_decoder", {"decoder_width": 32})],
)
def test_map_heads_learn_to_find_small_things(name, options):
    """Label i is there where channel i is 3 at one place of 49, under noise: its mean rises by 0.06 only."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 2, (64, 3), generator=generator).float()
    features = 0.5 * torch.randn(64, 8, 49, generator=generator)
    places = torch.randint(0, 49, (64, 3), generator=generator)
    for row, label in targets.nonzero().tolist():
        features[row, label, places[row, label]] = 3.0
    features[:, 7] = 1.0  # csra has no bias
    features = features.view(64, 8, 7, 7)
    head = HEADS[name](8, 3, **options)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(head(features), targets).backward()
        optimizer.step()
    head.eval()
    is_there = targets.bool()
    logits, found = head(features), head.attention(features).flatten(2).argmax(2) == places
    separated = [logits[is_there[:, i], i].min() > logits[~is_there[:, i], i].max() for i in range(3)]
    assert all(separated)
    assert found[is_there].float().mean() > 0.5  # one in 49 by chance


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTENTIVE)
def test_map_heads_can_be_compiled(name):
    plain = copy.deepcopy(ATTENTIVE[name]).eval()
    compiled, features = copy.deepcopy(plain), random_map()
    compiled.compile(dynamic=False)
    for head in (plain, compiled):
        head(features).square().sum().backward()
    torch.testing.assert_close(compiled(features), plain(features), rtol=1e-4, atol=1e-5)
    for left, right in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 3}, r"head_options\.num_heads=3 is none of 1, 2, 4, 6, 8"),
        ({"lam": -1}, r"head_options\.lam=-1 is no number from 0 on"),
        ({"lam": "much"}, r"head_options\.lam=much"),
        ({"temperatures": [1, "hot"]}, r"temperatures=\[1, 'hot'\] is no list"),
        ({"temperatures": []}, r"temperatures=\[\] is no list"),
        ({"temperatures": "max"}, r"temperatures=max is no list"),
        ({"temperatures": [0]}, r"temperatures=\[0\] is no list of numbers above 0"),
    ],
)
def test_csra_refuses_what_makes_no_sense(options, message):
    with pytest.raises(UserError, match=message):
        CSRAHead(6, 5, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_width": 100}, r"decoder_width=100 .* give a multiple of 8"),
        ({"decoder_width": 0}, r"decoder_width=0"),
        ({"groups": 0}, r"groups=0 is no number from 1 on"),
        ({"groups": 2.5}, r"groups=2\.5"),
    ],
)
def test_ml_decoder_refuses_what_makes_no_sense(options, message):
    with pytest.raises(UserError, match=message):
        MLDecoderHead(6, 5, **options)


def test_options_are_checked():
    assert find_head("csra", {"lam": 0.2, "num_heads": 4}) is CSRAHead
    assert find_head("fastai", {"hidden": 256}) is FastaiHead
    with pytest.raises(
        UserError, match=r"head_options\.lamb is no .*head=csra\. Did you mean 'lam'\? Known: num_heads, lam"
    ):
        find_head("csra", {"lamb": 0.2})
    with pytest.raises(UserError, match=r"head_options\.lam is no option of model\.head=linear\. Known: none\."):
        find_head("linear", {"lam": 0.2})
    with pytest.raises(UserError, match=r"model\.head_dropout instead of head_options"):
        find_head("csra", {"dropout": 0.2})


def test_each_head_says_what_it_takes():
    takes = {name: head.takes for name, head in HEADS.items()}
    assert takes == {"linear": "pooled", "dense": "pooled", "fastai": "map", "csra": "map", "ml_decoder": "map"}
    assert [name for name, head in HEADS.items() if issubclass(head, AttentionHead)] == ["csra", "ml_decoder"]
