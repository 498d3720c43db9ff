"""Backbones: names, widths, image sizes."""

import pytest
import torch

from polytag.errors import UserError
from polytag.models.backbone import (
    check_image_size,
    create_backbone,
    map_features,
    measure_width,
    patch_grid,
    pool_features,
)
from polytag.models.network import build_network


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet18", 512),
        ("vgg16", 512),  # not 4,096: the convolutions only
        ("tf_efficientnet_lite0", 1280),
        ("levit_128s", 384),  # takes 224 pixels only, so the small probe must fall back to them
    ],
)
def test_the_width_is_what_the_papers_say(name, width):
    assert measure_width(create_backbone(name), "pooled") == width


def test_measuring_leaves_modes_alone():
    backbone = create_backbone("test_resnet")
    backbone.layer2.eval()
    before = [module.training for module in backbone.modules()]
    measure_width(backbone, "pooled")
    assert [module.training for module in backbone.modules()] == before


def test_a_transformer_gives_its_patches_as_a_map():
    backbone = create_backbone("vit_tiny_patch16_224", "map").eval()
    with torch.no_grad():
        tokens = backbone.forward_features(torch.randn(1, 3, 64, 48))
        features = map_features(backbone, tokens)
    assert tokens.shape == (1, 13, 192)  # 4 x 3 patches and the class token
    assert features.shape == (1, 192, 12, 1)
    assert torch.equal(features[0, :, :, 0], tokens[0, 1:].T)


@pytest.mark.parametrize(
    ("name", "patches", "image", "grid"),
    [
        ("vit_tiny_patch16_224", 12, (64, 48), (4, 3)),  # timm knows
        ("vit_tiny_patch16_224", 12, (48, 64), (3, 4)),
        ("levit_128s", 16, (224, 224), (4, 4)),  # it does not: the image's own shape
        ("xcit_nano_12_p16_224", 192, (256, 192), (16, 12)),
    ],
)
def test_patches_find_their_places(name, patches, image, grid):
    assert patch_grid(create_backbone(name, "map"), patches, *image) == grid


def test_patches_without_places_are_refused():
    with pytest.raises(UserError, match=r"VOLO gives 197 patches of an image of 224 x 224 .* no grid"):
        patch_grid(create_backbone("volo_d1_224", "map"), 197, 224, 224)


def test_channels_that_come_last_are_moved():
    backbone = create_backbone("swin_tiny_patch4_window7_224", "map").eval()
    with torch.no_grad():
        features = backbone.forward_features(torch.randn(1, 3, 96, 96))
        assert features.shape == (1, 3, 3, 768)
        assert map_features(backbone, features).shape == (1, 768, 3, 3)


def test_a_vgg_averages_its_last_map():
    backbone = create_backbone("vgg11").eval()
    features = torch.arange(512 * 4, dtype=torch.float32).view(1, 512, 2, 2)
    assert pool_features(backbone, features)[0, :2].tolist() == [1.5, 5.5]


def test_mistakes_in_the_name_are_named():
    with pytest.raises(UserError, match=r"no backbone 'resnet_34'.*Did you mean 'resnet34'"):
        create_backbone("resnet_34")
    with pytest.raises(UserError, match=r"no weights 'resnet34.bogus'.*resnet34.a1_in1k"):
        create_backbone("resnet34.bogus")
    with pytest.raises(UserError, match=r"model.drop_path=0.1"):
        create_backbone("vgg11", drop_path=0.1)
    with pytest.raises(UserError, match=r"no feature map.*model.head=linear"):
        create_backbone("inception_next_atto", "map")


def test_drop_path_arrives():
    backbone = create_backbone("resnet18", drop_path=0.2)
    assert backbone.layer4[1].drop_path.drop_prob == pytest.approx(0.2)


def test_an_image_size_is_checked_before_it_is_used():
    network = build_network("vit_tiny_patch16_224", "none", "linear", 2).train()
    check_image_size(network, 96)
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224 .* 100 x 100 pixels .*Sizes that work: 96, 112, 128\."):
        check_image_size(network, 100)
    assert all(module.training for module in network.modules())


def test_a_backbone_of_one_size_names_it():
    network = build_network("levit_128s", "none", "linear", 2)
    with pytest.raises(UserError, match=r"levit_128s .* 96 x 96 .*Sizes that work: 224\."):
        check_image_size(network, 96)


def test_a_size_that_is_too_small_is_refused():
    network = build_network("vgg11", "none", "linear", 2)
    with pytest.raises(UserError, match=r"Sizes that work: 32\."):
        check_image_size(network, 20)
