"""The network: every option of conf/model, and the same numbers as timm's own models."""

from pathlib import Path

import pytest
import timm
import torch
from omegaconf import OmegaConf

from polytag.errors import UserError
from polytag.models.layer_groups import layer_groups
from polytag.models.network import build_network

CONF = Path(__file__).parents[2] / "conf" / "model"
OPTIONS = {
    "efficientnet_lite0": ("tf_efficientnet_lite0", "linear"),
    "resnet18": ("resnet18", "linear"),
    "resnet34": ("resnet34", "fastai"),
    "resnet50": ("resnet50", "fastai"),
    "convnext_tiny": ("convnext_tiny", "linear"),
    "vit_small": ("vit_small_patch16_224", "linear"),
    "vgg16": ("vgg16", "linear"),
}


def images(size, count=2):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_options_are_these():
    assert {file.stem for file in CONF.glob("*.yaml")} == {"common", *OPTIONS}


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_builds_and_takes_several_sizes(option):
    data = {"data": {"batch_norm": "eval"}}  # what the data says of it
    values = OmegaConf.merge(data, OmegaConf.load(CONF / "common.yaml"), OmegaConf.load(CONF / f"{option}.yaml"))
    arguments = {key: value for key, value in values.items() if key not in ("data", "_target_", "defaults")}
    assert (values.backbone, values.head, values.weights) == (*OPTIONS[option], "pretrained")
    network = build_network(**{**arguments, "weights": "none"}, num_classes=5).eval()
    with torch.no_grad():
        for size in (64, 96):
            assert network(images(size)).shape == (2, 5)
    assert list(layer_groups(network)) == ["early", "late", "head"]
    assert network.weights_report == "random"


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 64), ("tf_efficientnet_lite0", 64), ("convnext_tiny", 64), ("vit_tiny_patch16_224", 224)],
)
def test_the_linear_head_gets_what_timms_classifier_gets(name, size):
    model = timm.create_model(name, num_classes=5).eval()
    torch.nn.init.normal_(model.get_classifier().weight)
    network = build_network(name, "none", "linear", 5).eval()
    network.backbone.load_state_dict(model.state_dict(), strict=False)
    network.head.fc.load_state_dict(model.get_classifier().state_dict())
    pixels = images(size)
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = model((pixels / 255 - mean) / std)
        logits = network(pixels)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_bytes_and_floats_are_the_same_pixels():
    network = build_network("test_resnet", "none", "linear", 2).eval()
    with torch.no_grad():
        assert torch.equal(network(images(64)), network(images(64).float()))


def test_the_normalisation_is_a_part_of_the_weights():
    network = build_network("resnet18", "none", "linear", 2)
    state = network.state_dict()
    assert state["mean"].flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])  # ImageNet's, in bytes
    assert state["std"].flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_layout_is_the_chosen_one(channels_last):
    network = build_network("test_resnet", "none", "linear", 2, channels_last=channels_last).eval()
    with torch.no_grad():
        features = network.features(images(96))
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    assert features.shape[2] > 1
    assert features.is_contiguous(memory_format=wanted)
    assert network.backbone.layer2[0].conv1.weight.is_contiguous(memory_format=wanted)


def test_features_and_head_inputs_make_up_the_forward_pass():
    network = build_network("resnet18", "none", "fastai", 3).eval()
    with torch.no_grad():
        features = network.features(images(64))
        inputs = network.head_inputs(features)
        assert features.shape == inputs.shape == (2, 512, 2, 2)
        assert torch.equal(network.head(inputs), network(images(64)))


def test_a_transformer_works_with_the_fastai_head():
    network = build_network("vit_tiny_patch16_224", "none", "fastai", 3)
    network(images(64)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_every_parameter_of_a_convnext_with_the_fastai_head_learns():
    network = build_network("test_convnext", "none", "fastai", 3)
    network(images(64)).sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_the_heads_dropout_can_be_set():
    assert build_network("test_resnet", "none", "linear", 2, head_dropout=0.3).head.dropout.p == 0.3
    layers = build_network("test_resnet", "none", "fastai", 2, head_dropout=0.2).head.layers
    assert (layers[1].p, layers[5].p) == (0.1, 0.2)


@pytest.mark.parametrize("head", ["csra", "ml_decoder"])
@pytest.mark.parametrize(("backbone", "places"), [("test_resnet", (3, 2)), ("test_vit", (6, 4))])
def test_a_network_shows_where_it_looks(backbone, places, head):
    network = build_network(backbone, "none", head, 3, head_dropout=0.5).train()
    pixels = images(96)[..., :64]  # 96 x 64
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps = network.attention(pixels)
    assert maps.shape == (2, 3, *places) and maps.dtype == torch.float32 and not maps.requires_grad
    torch.testing.assert_close(maps.sum((2, 3)), torch.ones(2, 3))
    assert all(module.training for module in network.modules())  # in which batch statistics would differ
    assert torch.equal(network.eval().attention(pixels), maps)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_map_of_a_transformer_lies_as_its_patches_do():
    """Whatever one patch of the image changes in a network that looks at each patch alone, changes at its place."""
    network = build_network("test_vit", "none", "csra", 1).eval()
    network.backbone.blocks = torch.nn.Identity()
    network.backbone.pos_embed.data.zero_()
    pixels = torch.zeros(1, 3, 64, 48, dtype=torch.uint8)
    pixels[:, :, 32:48, 16:32] = 255  # row 2, column 1 of 4 x 3
    maps = network.attention(pixels)[0, 0]
    odd = (maps - maps.median()).abs() > 1e-6
    assert odd.nonzero().tolist() == [[2, 1]]


def test_a_network_without_attention_says_which_have_it():
    network = build_network("test_resnet", "none", "fastai", 2)
    with pytest.raises(UserError, match=r"model.head=fastai has no attention .* These have: csra, ml_decoder\."):
        network.attention(images(64))


def test_the_options_of_a_head_reach_it():
    head = build_network("test_resnet", "none", "csra", 2, head_dropout=0.1, head_options={"num_heads": 4}).head
    assert (len(head.temperatures), head.dropout.p) == (4, 0.1)
    assert (
        build_network("test_resnet", "none", "fastai", 2, head_options={"hidden": 9}).head.layers[2].out_features == 9
    )
    with pytest.raises(UserError, match=r"head_options\.groups is no option of model\.head=csra"):
        build_network("test_resnet", "none", "csra", 2, head_options={"groups": 9})


@pytest.mark.parametrize("head", ["csra", "ml_decoder"])
def test_map_heads_work_on_transformers_and_on_other_maps(head):
    for backbone in ("test_vit", "test_convnext"):
        network = build_network(backbone, "none", head, 3)
        network(images(64)).sum().backward()
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
        assert all(name.startswith("head.") for name in layer_groups(network)["head"])


@pytest.mark.parametrize("head", ["csra", "ml_decoder"])
def test_map_heads_compute_in_lower_precision(head):
    torch.manual_seed(0)
    network = build_network("test_resnet", "none", head, 3).eval()
    with torch.no_grad():
        exact = network(images(64))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.allclose(network(images(64)).float(), exact, atol=0.05)
            assert network.attention(images(64)).dtype == torch.float32


def test_an_unknown_head_is_refused():
    with pytest.raises(UserError, match=r"model.head='fastia' .*Did you mean 'fastai'"):
        build_network("resnet18", "none", "fastia", 2)


def test_a_frozen_part_keeps_nothing_for_a_backward_pass():
    from polytag.schedule.freeze import freeze

    network = build_network("test_resnet", "none", "linear", 3)
    groups = layer_groups(network)
    seen = {}
    network.backbone.layer1.register_forward_hook(lambda *a: seen.update(early=a[2]))
    network.backbone.layer4.register_forward_hook(lambda *a: seen.update(late=a[2]))
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    assert "backbone.layer1.0.conv1.weight" in groups["early"]
    assert "backbone.layer4.0.conv1.weight" in groups["late"]
    for frozen, records in ((("early", "late"), (False, False)), (("early",), (False, True)), ((), (True, True))):
        freeze(network, groups, frozen)
        assert network(images).requires_grad
        assert (seen["early"].requires_grad, seen["late"].requires_grad) == records
    with torch.no_grad():
        assert not network(images).requires_grad
        assert not torch.is_grad_enabled()


@pytest.mark.slow
def test_a_compiled_network_computes_the_same_at_each_size_and_frozen_set():
    from polytag.models.network import compile_network
    from polytag.schedule.freeze import freeze

    torch.manual_seed(0)
    plain = build_network("test_resnet", "none", "linear", 3)
    compiled = build_network("test_resnet", "none", "linear", 3)
    compiled.load_state_dict(plain.state_dict())
    compile_network(compiled)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for size, frozen in ((32, ("early", "late")), (48, ())):
        images = torch.randint(0, 255, (4, 3, size, size), dtype=torch.uint8)
        for network in (plain, compiled):
            freeze(network, layer_groups(network), frozen)
            network.zero_grad()
            network(images).square().sum().backward()
        for (name, left), right in zip(plain.named_parameters(), compiled.parameters(), strict=True):
            assert (left.grad is None) == (right.grad is None), name
            if left.grad is not None:
                assert torch.allclose(left.grad, right.grad, rtol=1e-2, atol=1e-4), name


def test_batch_normalisation_may_keep_its_first_statistics():
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    moved = {}
    for mode in ("train", "eval"):
        network = build_network("test_resnet", "none", "fastai", 3)
        network.batch_norm = mode
        before = {name: buffer.clone() for name, buffer in network.named_buffers()}
        network.train()
        network(images).sum().backward()
        moved[mode] = {name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])}
        assert network.backbone.bn1.weight.grad is not None  # scale and shift train either way
    assert "backbone.bn1.running_mean" in moved["train"]
    assert moved["eval"] == {
        name for name in moved["train"] if name.startswith("head.")
    }  # the head's are new: they learn
    assert moved["eval"]
    # Random weights have no statistics to keep.
    assert build_network("test_resnet", "none", "linear", 3, batch_norm="eval").batch_norm == "train"
    assert build_network("tf_efficientnet_lite0", "bundled", "linear", 3, batch_norm="eval").batch_norm == "eval"
    with pytest.raises(UserError, match="neither train nor eval"):
        build_network("tf_efficientnet_lite0", "bundled", "linear", 3, batch_norm="frozen")
