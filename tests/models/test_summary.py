"""The blocks of a network: their shapes, and each parameter in exactly one."""

import pytest
import timm
import torch
from torch import nn

from polytag.models.network import Network, build_network
from polytag.models.summary import list_blocks, trained_parameters


def by_name(network, sizes=(64,)):
    return {block.name: block for block in list_blocks(network, sizes)}


def test_resnet18_has_the_published_numbers():
    # https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.resnet18.html: 11,689,512 parameters,
    # of which 512 * 1000 + 1000 are in its last layer; and table 1 of He et al. 2015 for the sizes at 224 pixels.
    blocks = by_name(build_network("resnet18", "none", "linear", 5), (224, 64))
    assert list(blocks) == ["conv1", "bn1", *(f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)), "head"]
    assert sum(block.parameters for block in blocks.values()) == 11_689_512 - 513_000 + 512 * 5 + 5
    assert blocks["conv1"].parameters == 64 * 3 * 7 * 7
    assert [blocks[f"layer{i}.1"].outputs[224] for i in (1, 2, 3, 4)] == [
        (64, 56, 56),
        (128, 28, 28),
        (256, 14, 14),
        (512, 7, 7),
    ]
    assert blocks["layer4.1"].outputs[64] == (512, 2, 2)
    assert blocks["head"].outputs == {224: (5,), 64: (5,)}
    assert [block.group for block in blocks.values()] == ["early"] * 6 + ["late"] * 4 + ["head"]
    assert blocks["layer1.0"].kind == "BasicBlock"


@pytest.mark.parametrize("head", ["linear", "fastai", "csra", "ml_decoder"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_each_backbone_and_head_is_covered(backbone, head):
    network = build_network(backbone, "none", head, 5)
    blocks = list_blocks(network, [64, 96])
    assert sum(block.parameters for block in blocks) == sum(p.numel() for p in network.parameters())
    body = sum(block.parameters for block in blocks if block.group != "head")
    assert body == sum(p.numel() for p in timm.create_model(backbone, num_classes=0).parameters())
    assert [block.group for block in blocks] == sorted(
        (block.group for block in blocks), key=["early", "late", "head"].index
    )
    assert blocks[-1].outputs == {64: (5,), 96: (5,)}
    assert all(shape for block in blocks if block.kind for shape in block.outputs.values())


def test_parameters_without_a_module_are_a_block_of_their_own():
    block = by_name(build_network("test_vit", "none", "linear", 5))["cls_token, pos_embed"]
    # test_vit: tokens of 64 channels, 10 x 10 patches of its 160 pixels and a class token
    assert (block.kind, block.parameters, block.outputs) == ("", 64 + 64 * 101, {64: None})


@pytest.mark.parametrize("size", [64, 96])
def test_tokens_are_counted_at_the_size_of_the_images(size):
    blocks = by_name(build_network("test_vit", "none", "linear", 5), [size])
    assert blocks["blocks.5"].outputs[size] == ((size // 16) ** 2 + 1, 64)


def test_the_layers_of_a_deep_head_are_listed():
    blocks = list_blocks(build_network("test_resnet", "none", "fastai", 5), [64])
    head = [(block.kind, block.outputs[64]) for block in blocks if block.group == "head"]
    assert head == [
        ("BatchNorm1d", (192,)),
        ("Linear", (512,)),
        ("BatchNorm1d", (512,)),
        ("Linear", (5,)),
    ]


def test_frozen_groups_are_not_trained():
    network = build_network("test_resnet", "none", "linear", 5)
    blocks = list_blocks(network, [64])
    head = sum(p.numel() for p in network.head.parameters())
    assert trained_parameters(blocks, ("early", "late")) == head == 96 * 5 + 5
    assert trained_parameters(blocks, ()) == sum(p.numel() for p in network.parameters())


def test_nothing_in_the_network_or_the_generators_changes():
    network = build_network("test_resnet", "none", "fastai", 5, head_dropout=0.5, drop_path=0.1)
    network.backbone.layer1.eval()
    modes = [module.training for module in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = [parameter.requires_grad for parameter in network.parameters()]
    generator = torch.get_rng_state()

    list_blocks(network, [64, 96])

    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == gradients
    assert not any(module._forward_hooks for module in network.modules())


class Own(nn.Module):
    """A backbone as users write one, which draws a random number even when it is evaluated."""

    def __init__(self):
        super().__init__()
        self.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.stages = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.scale = nn.Parameter(torch.ones(1))

    def forward_features(self, images):
        return self.stages(self.stem(images)) * self.scale + 0 * torch.rand(1)

    def forward_head(self, features, pre_logits):
        return features.mean((2, 3))


def test_a_network_of_ones_own():
    network = Network(Own(), nn.Linear(8, 2), "own")
    generator = torch.get_rng_state()
    blocks = by_name(network)
    assert torch.equal(torch.get_rng_state(), generator)
    assert {name: (block.kind, block.parameters, block.outputs[64]) for name, block in blocks.items()} == {
        "scale": ("", 1, None),
        "stem": ("Conv2d", 4 * 3 * 9 + 4, (4, 32, 32)),
        "stages.0": ("Conv2d", 8 * 4 * 9 + 8, (8, 32, 32)),
        "stages.2": ("Conv2d", 8 * 8 + 8, (8, 32, 32)),
        "head": ("Linear", 8 * 2 + 2, (2,)),
    }


def test_a_network_to_be_compiled_is_not_compiled_for_it(monkeypatch):
    network = build_network("test_resnet", "none", "linear", 5)
    monkeypatch.setattr(network, "_compiled_call_impl", lambda *_: pytest.fail("compiled"))
    assert by_name(network)["head"].outputs == {64: (5,)}
