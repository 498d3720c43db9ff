"""Transforms: shapes, resize modes, and randomness as a function of the key."""

import numpy as np
import pytest

from polytag.data.transforms import Dihedral, Plain, SideOn
from polytag.errors import UserError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def halves(height, width):
    """Left half red, right half blue."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 255
    picture[:, width // 2 :, 2] = 255
    return picture


@pytest.mark.parametrize("group", [Plain(), Dihedral(), SideOn(), Plain("crop"), Dihedral("pad")])
@pytest.mark.parametrize("size", [32, 96])
def test_every_group_gives_uint8_squares(image, group, size):
    for augmentation, key in ((group.train(size), (0, 1, 2, 3)), (group.evaluation(size), None)):
        out = augmentation(image, key)
        assert out.shape == (size, size, 3)
        assert out.dtype == np.uint8
        assert out.flags.writeable


def test_resize_modes_differ_as_they_say():
    picture = halves(40, 80)
    squished = Plain("squish").evaluation(40)(picture)
    assert (squished[:, :19, 0] == 255).all() and (squished[:, 21:, 2] == 255).all()
    cropped = Plain("crop").evaluation(40)(picture)
    assert np.array_equal(cropped, picture[:, 20:60])
    padded = Plain("pad").evaluation(40)(picture)
    assert (padded[:9] == 0).all() and (padded[31:] == 0).all()
    assert padded[20, 5].tolist() == [255, 0, 0] and padded[20, 35].tolist() == [0, 0, 255]


def test_shrinking_averages_instead_of_picking():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(Plain().evaluation(16)(stripes).astype(int) - 128).max() <= 1


def test_an_unknown_resize_mode_is_refused_when_the_config_is_read():
    with pytest.raises(UserError, match="'stretch' is none of squish, crop, pad"):
        SideOn(resize="stretch")


@pytest.mark.parametrize("group", [Dihedral(), SideOn()])
def test_the_key_decides_the_pixels(image, group):
    augmentation, other = group.train(32), group.train(32)
    first = augmentation(image, (0, 0, 5, 1))
    augmentation(image, (0, 0, 6, 1))  # whatever happens in between
    assert np.array_equal(augmentation(image, (0, 0, 5, 1)), first)
    assert np.array_equal(other(image, (0, 0, 5, 1)), first)
    variants = [augmentation(image, key) for key in ((1, 0, 5, 1), (0, 1, 5, 1), (0, 0, 6, 1), (0, 0, 5, 2))]
    assert all(not np.array_equal(variant, first) for variant in variants)


def test_dihedral_reaches_all_eight_symmetries():
    picture = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    augmentation = Dihedral(p=0.0).train(8)
    seen = {augmentation(picture, (0, 0, position, 0)).tobytes() for position in range(200)}
    turned = [np.rot90(side, k) for side in (picture, picture.transpose(1, 0, 2)) for k in range(4)]
    assert seen == {np.ascontiguousarray(view).tobytes() for view in turned}


def test_mirroring_can_be_switched_off():
    picture = halves(32, 32)
    plain = {"min_area": 1.0, "max_aspect": 1.0001, "colour": 0.0, "hue": 0.0}
    mirrored = [SideOn(**plain).train(32)(picture, (0, 0, i, 0))[16, 2, 2] > 128 for i in range(40)]
    kept = [SideOn(mirror=False, **plain).train(32)(picture, (0, 0, i, 0))[16, 2, 2] > 128 for i in range(40)]
    assert 8 < sum(mirrored) < 32
    assert not any(kept)
