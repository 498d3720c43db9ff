"""Class activation maps of networks whose answer is known by construction, and of timm's own."""

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from polytag.data.transforms import Plain
from polytag.errors import UserError
from polytag.inference.class_activation import activation_maps, activation_overlays, heat_maps
from polytag.models.network import Network, build_network

RED, GREEN = 0, 1


@pytest.fixture(autouse=True)
def _same_weights_each_time():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


class Colours(nn.Module):
    """A backbone with one place for 8 x 8 pixels and two channels: how red, and how green it is there."""

    pretrained_cfg = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))  # a frozen or a training one

    def forward_features(self, images):
        return self.scale * F.avg_pool2d(images[:, :2], 8)

    def forward_head(self, features, pre_logits=True):
        return features.mean((2, 3))


def colours():
    """Return a network that gives red as its first class and green as its second."""
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.eye(2))
    return Network(Colours(), head, "colours").eval()


def picture(height, width, top, left, side=8, channel=RED):
    """Return black ``(H, W, 3)`` pixels with a square of one colour."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + side, left : left + side, channel] = 255
    return pixels


def tensor(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)


def test_each_place_has_its_share_of_the_logit():
    image = tensor(picture(16, 32, 8, 24) + picture(16, 32, 0, 0, channel=GREEN))
    network = colours()
    maps = activation_maps(network, image, [GREEN, RED])
    np.testing.assert_allclose(maps, [[[0.125, 0, 0, 0], [0] * 4], [[0] * 4, [0, 0, 0, 0.125]]])
    bias = network.head.bias.detach().numpy()
    np.testing.assert_allclose(network(image[None])[0].detach().numpy() - bias, [0.125, 0.125], rtol=1e-6)


def test_what_speaks_against_a_label_is_left_out():
    network = colours()
    with torch.no_grad():
        network.head.weight.neg_()
    assert not activation_maps(network, tensor(picture(16, 32, 8, 24)), [RED]).any()


def class_token_vit(registers=2):
    """Return a vision transformer whose class token takes the mean of how red the tokens are: one class."""
    backbone = timm.create_model(
        "vit_tiny_patch16_224",
        num_classes=0,
        dynamic_img_size=True,
        depth=1,
        embed_dim=8,
        num_heads=1,
        reg_tokens=registers,
        norm_layer=nn.Identity,
    )
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
        backbone.patch_embed.proj.weight[0, RED] = 1 / 256
        backbone.blocks[0].attn.qkv.weight[16:] = torch.eye(8)  # values as they are; all tokens weigh the same
        backbone.blocks[0].attn.proj.weight.copy_(torch.eye(8))
        backbone.cls_token[..., 0] = backbone.reg_token[..., 0] = 5.0  # prefix tokens, more than any patch has
        head = nn.Linear(8, 1)
        head.weight.zero_()
        head.weight[0, 0] = 1
    return Network(backbone, head, "vit").eval()


@pytest.mark.parametrize(("row", "column"), [(0, 3), (1, 2)])
def test_patches_behind_a_class_token_stand_in_rows_and_columns_without_the_other_tokens(row, column):
    image = tensor(picture(32, 64, 16 * row, 16 * column, side=16))
    maps = activation_maps(class_token_vit(), image, [0])
    expected = np.zeros((1, 2, 4))
    expected[0, row, column] = 1 / 11  # 8 patches, 2 registers, 1 class token; black is -1 and speaks against it
    np.testing.assert_allclose(maps, expected, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext3", "test_vit2", "test_mambaout"])
def test_with_linear_scores_at_each_place_it_is_the_classic_map(backbone):
    network = build_network(backbone, "none", "csra", 8, head_options={"lam": 0, "normalise": False}).eval()
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        inputs = network.head_inputs(network.features(image[None]))
        scores = torch.einsum("lc,chw->lhw", network.head.scores.weight[:, :, 0, 0], inputs[0])
    places = scores.shape[1] * scores.shape[2]
    maps = activation_maps(network, image, range(8))
    expected = (scores / places).clamp(min=0).reshape(maps.shape).numpy()
    assert expected.max() > 0
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("head", ["linear", "dense", "fastai", "csra", "ml_decoder"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_vit2", "test_vit3", "test_convnext"])
def test_every_head_on_any_backbone_and_nothing_of_the_network_changes(backbone, head):
    network = build_network(backbone, "none", head, 8)
    network.backbone.requires_grad_(False)
    network.head.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps = activation_maps(network, torch.randint(0, 256, (3, 96, 64), dtype=torch.uint8), [*range(8), 3])
    cells = {"test_resnet": (3, 2), "test_convnext": (3, 2)}.get(backbone, (6, 4))
    assert maps.shape == (9, *cells) and (maps[3] == maps[8]).all()
    assert maps.dtype == np.float32 and (maps >= 0).all() and maps.max() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
    assert network.head.training and network.backbone.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("backbone", "cells"),
    [("swin_tiny_patch4_window7_224", 7), ("cait_xxs24_224", 14), ("deit_tiny_distilled_patch16_224", 14)],
)
def test_backbones_with_other_layouts(backbone, cells):
    network = build_network(backbone, "none", "linear", 2).eval()
    image = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8)
    assert activation_maps(network, image, [1]).shape == (1, cells, cells)


@pytest.mark.parametrize("network", [colours, class_token_vit])
def test_a_compiled_network_is_not_called_compiled(network):
    def refuse(*_):
        raise AssertionError("compiled")

    network = network()
    network.compile(backend=refuse)
    assert activation_maps(network, tensor(picture(32, 32, 16, 16, side=16)), [0]).any()


def test_a_class_token_of_unknown_blocks_is_refused():
    network = class_token_vit()
    del network.backbone.blocks[0].norm1
    network.backbone.forward_features = lambda images: torch.zeros(1, 11, 8)
    with pytest.raises(UserError, match="no places to show"):
        activation_maps(network, tensor(picture(32, 64, 0, 0)), [0])


def run_of(resize, network=None, presize=1.3):
    """Return what is needed of a run that prepares images in a way, at 64 pixels."""
    return SimpleNamespace(network=network or colours(), transforms=Plain(resize, presize), image_size=64)


@pytest.mark.parametrize("resize", ["squish", "crop", "pad"])
@pytest.mark.parametrize("shape", [(160, 320), (320, 160), (40, 60)])
def test_the_strongest_place_is_where_the_colour_is(resize, shape):
    height, width = shape
    side = min(shape) // 4
    top, left = height // 2 + side // 2, width // 2 - 2 * side
    [heat] = heat_maps(run_of(resize), picture(height, width, top, left, side), [RED])
    assert heat.shape == shape
    assert heat.min() == 0 and heat.max() == 1
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert top <= y < top + side and left <= x < left + side
    rows, columns = np.indices(shape)
    center = (heat * rows).sum() / heat.sum(), (heat * columns).sum() / heat.sum()
    assert center == pytest.approx((top + side / 2, left + side / 2), abs=max(shape) / 32)


def test_what_is_cut_off_stays_at_nothing():
    run = run_of("crop")
    [heat] = heat_maps(run, picture(100, 200, 50, 10, 30), [RED])
    assert not heat.any()
    [heat] = heat_maps(run, np.full((100, 200, 3), 255, np.uint8), [RED])
    assert not heat[:, :50].any() and not heat[:, 150:].any()
    assert (heat[:, 50:150] > 0.99).all()


def test_overlays_are_coloured_where_the_label_is_and_dark_elsewhere():
    pixels = picture(64, 128, 32, 96, 16)
    red, green = activation_overlays(run_of("squish"), pixels, [RED, GREEN])
    assert red.shape == green.shape == pixels.shape and red.dtype == np.uint8
    assert red[36:44, 100:108].mean() > 90
    assert green.max() < 60 and red[:20].max() < 60
