"""Layer groups: where they begin and end, weight decay, and what freezing silences."""

import pytest
import torch
from torch import nn

from polytag.errors import UserError
from polytag.models.layer_groups import frozen_modules, layer_groups, parameter_groups
from polytag.models.network import build_network


def network_of(backbone, head="linear", **options):
    return build_network(backbone, "none", head, 3, **options)


@pytest.mark.parametrize(
    ("backbone", "early_ends", "late_begins", "late_ends"),
    [
        ("resnet34", "layer2.3.bn2.bias", "layer3.0.conv1.weight", "layer4.2.bn2.bias"),  # fastai's split
        ("tf_efficientnet_lite0", "blocks.2.1.bn3.bias", "blocks.3.0.conv_pw.weight", "bn2.bias"),
        ("convnext_tiny", "stages.1.blocks.2.mlp.fc2.bias", "stages.2.downsample.0.weight", "head.norm.bias"),
        ("vit_small_patch16_224", "blocks.5.mlp.fc2.bias", "blocks.6.norm1.weight", "norm.bias"),
        ("vgg16", "features.14.bias", "features.17.weight", "features.28.bias"),
    ],
)
def test_groups_begin_and_end_where_they_should(backbone, early_ends, late_begins, late_ends):
    network = network_of(backbone)
    groups = layer_groups(network)
    assert list(groups) == ["early", "late", "head"]
    assert groups["early"][-1] == f"backbone.{early_ends}"
    assert groups["late"][0] == f"backbone.{late_begins}"
    assert groups["late"][-1] == f"backbone.{late_ends}"
    assert groups["head"] == ["head.fc.weight", "head.fc.bias"]
    everything = [name for members in groups.values() for name in members]
    assert len(everything) == len(set(everything)) == len(list(network.parameters()))


def test_other_numbers_of_groups():
    network = network_of("resnet18", layer_groups=6)
    groups = layer_groups(network)
    assert list(groups) == ["group_0", "group_1", "group_2", "group_3", "group_4", "head"]
    assert groups["group_0"] == ["backbone.conv1.weight", "backbone.bn1.weight", "backbone.bn1.bias"]
    assert {name.split(".")[1] for name in groups["group_3"]} == {"layer3"}
    assert list(layer_groups(network, 2)) == ["group_0", "head"]


def test_more_groups_than_stages_go_by_blocks():
    network = network_of("resnet18", layer_groups=7)  # the stem and eight blocks in six groups, of 2, 2, 2, 1, 1, 1
    beginnings = [members[0].removeprefix("backbone.") for members in layer_groups(network).values()]
    assert beginnings == [
        "conv1.weight",
        "layer1.1.conv1.weight",
        "layer2.1.conv1.weight",
        "layer3.1.conv1.weight",
        "layer4.0.conv1.weight",
        "layer4.1.conv1.weight",
        "head.fc.weight",
    ]
    finest = layer_groups(network, 10)
    assert list(finest)[-2:] == ["group_8", "head"]
    assert all(name.startswith("backbone.layer2.0.") for name in finest["group_3"])
    assert finest["group_8"][0] == "backbone.layer4.1.conv1.weight"


@pytest.mark.parametrize("impossible", [-1, 1, 11])
def test_an_impossible_number_of_groups_is_refused(impossible):
    with pytest.raises(UserError, match=f"model.layer_groups={impossible} .*resnet18: choose 2 to 10"):
        network_of("resnet18", layer_groups=impossible)


# A small network of each family: its image size, and how many groups its stages and its blocks make at most. timm's
# transformers that keep one width throughout know blocks only.
FAMILIES = {
    "resnet10t": (64, 6, 6),
    "resnet50": (64, 6, 18),
    "regnety_002": (64, 6, 15),
    "densenet121": (64, 7, 61),
    "efficientnet_b0": (64, 9, 18),
    "mobilenetv3_small_050": (64, 9, 15),
    "mobilenetv4_conv_small_050": (64, 8, 20),
    "ghostnet_050": (64, 12, 19),
    "repvgg_a0": (64, 6, 23),
    "vgg11": (64, 9, 9),
    "convnext_atto": (64, 7, 15),
    "edgenext_xx_small": (64, 7, 15),
    "mobilevit_xxs": (64, 7, 12),
    "poolformer_s12": (64, 7, 7),  # no group matcher: cut at its children
    "vit_tiny_patch16_224": (64, 14, 14),
    "deit_tiny_patch16_224": (64, 14, 14),
    "swin_tiny_patch4_window7_224": (224, 7, 14),
    "pvt_v2_b0": (64, 6, 6),
    "levit_128s": (224, 5, 11),
    "mixer_s32_224": (224, 10, 10),
}


def depths_in_use(network, groups, size):
    """Return the first and the last step of the forward pass in which each group's modules are called."""
    group_of = {parameter.rpartition(".")[0]: group for group, members in groups.items() for parameter in members}
    calls = []
    for name, module in network.named_modules():
        if name in group_of:
            module.register_forward_pre_hook(lambda *_, group=group_of[name]: calls.append(group))
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    return [(calls.index(group), len(calls) - 1 - calls[::-1].index(group)) for group in groups]


@pytest.mark.parametrize("family", FAMILIES)
def test_groups_come_one_after_the_other_in_every_family(family):
    size, by_stages, by_blocks = FAMILIES[family]
    network = network_of(family)
    for count in {3, by_stages, by_blocks}:
        groups = layer_groups(network, count)
        assert len(groups) == count
        assert all(groups.values())
        assert sum(map(len, groups.values())) == len(list(network.parameters()))
    with pytest.raises(UserError, match=f"choose 2 to {by_blocks}"):
        layer_groups(network, by_blocks + 1)
    steps = [step for first_and_last in depths_in_use(network, layer_groups(network), size) for step in first_and_last]
    assert steps == sorted(steps)


def test_stages_are_kept_together_as_long_as_they_suffice():
    network = network_of("mobilenetv3_small_050")
    assert layer_groups(network, 9)["group_4"][0] == "backbone.blocks.3.0.conv_pw.weight"
    assert {name.split(".")[2] for name in layer_groups(network, 9)["group_4"]} == {"3"}
    assert {tuple(name.split(".")[2:4]) for name in layer_groups(network, 15)["group_5"]} == {("2", "1")}


def test_a_backbone_that_does_not_know_its_units_is_cut_at_its_children():
    network = network_of("test_resnet")
    network.backbone = nn.Sequential()
    network.backbone.stem = nn.Linear(2, 2)
    network.backbone.blocks = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    groups = layer_groups(network)
    assert [name.removesuffix(".weight") for name in groups["early"][::2]] == ["backbone.stem", "backbone.blocks.0"]
    assert [name.removesuffix(".weight") for name in groups["late"][::2]] == ["backbone.blocks.1", "backbone.blocks.2"]


def test_norms_and_biases_are_not_decayed():
    network = network_of("resnet18", "fastai")
    entries = parameter_groups(network)
    assert [(entry["name"], entry.get("weight_decay")) for entry in entries] == [
        ("early", None),
        ("early", 0.0),
        ("late", None),
        ("late", 0.0),
        ("head", None),
        ("head", 0.0),
    ]
    # The head: two linear layers; their biases, and weight and bias of two norms.
    assert [tuple(parameter.shape) for parameter in entries[4]["params"]] == [(512, 1024), (3, 512)]
    assert [tuple(parameter.shape) for parameter in entries[5]["params"]] == [(1024,)] * 2 + [(512,)] * 3 + [(3,)]
    optimizer = torch.optim.SGD(entries, lr=0.1, weight_decay=0.01)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0] * 3
    arrived = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(arrived) == sorted(id(parameter) for parameter in network.parameters())


def test_position_embeddings_are_not_decayed():
    network = network_of("vit_tiny_patch16_224")
    plain = {
        id(parameter) for entry in parameter_groups(network) if "weight_decay" in entry for parameter in entry["params"]
    }
    assert network.backbone.pos_embed.ndim == 3
    assert id(network.backbone.pos_embed) in plain and id(network.backbone.cls_token) in plain
    assert id(network.backbone.patch_embed.proj.weight) not in plain


def test_equal_parameters_all_arrive():
    network = network_of("test_resnet")
    for parameter in network.parameters():
        nn.init.zeros_(parameter)  # a comparison by value would take some for the same
    arrived = [parameter for entry in parameter_groups(network) for parameter in entry["params"]]
    assert len(arrived) == len(list(network.parameters()))


def test_what_freezing_silences():
    network = network_of("resnet18")
    groups = layer_groups(network)
    names = {id(module): name for name, module in network.named_modules()}

    def silenced(*frozen):
        return [names[id(module)] for module in frozen_modules(network, groups, frozen)]

    assert silenced() == []
    assert silenced("early") == ["backbone.conv1", "backbone.bn1", "backbone.layer1", "backbone.layer2"]
    assert silenced("early", "late") == ["backbone"]
    assert silenced("head") == ["head"]
    assert silenced("early", "late", "head") == [""]  # the network itself
