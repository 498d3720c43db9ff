"""MixUp and CutMix on multi-hot targets."""

import pytest
import torch

from polytag.data.mixing import Mixing
from polytag.errors import UserError


def batch():
    """Return four images of one colour each, 0, 60, 120, 180, and their targets."""
    images = (torch.arange(4).view(4, 1, 1, 1) * 60).expand(4, 3, 8, 8).to(torch.uint8)
    return images, torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])


def test_without_mixing_the_batch_is_the_same_object_and_nothing_is_drawn():
    images, targets = batch()
    state = torch.random.get_rng_state()
    mixed = Mixing()(images, targets)
    assert mixed[0] is images
    assert mixed[1] is targets
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not Mixing().is_on
    assert not Mixing(mixup=1.0, p=0.0).is_on


def test_mixup_weighs_images_and_labels_alike():
    images, targets = batch()
    torch.manual_seed(1)
    mixed, shares = Mixing(mixup=1.0)(images, targets)
    # Each image is mixed with the one before it; the colours tell the share: 60 * s + 0 * (1 - s) in the second.
    share = float(mixed[1, 0, 0, 0]) / 60
    assert 0 < share < 1
    expected = torch.tensor([[share, 0, 1 - share], [1, share, 0], [1 - share, 1 - share, 0], [0, 0, share]])
    assert torch.allclose(shares, expected, atol=1e-5)
    assert float(mixed[3, 0, 0, 0]) == pytest.approx(180 * share + 120 * (1 - share), rel=1e-5)
    assert mixed[3].min() == mixed[3].max()


def test_cutmix_weighs_labels_by_area():
    images, targets = batch()
    torch.manual_seed(3)
    mixed, shares = Mixing(cutmix=1.0)(images, targets)
    own = (mixed[1] == 60).float().mean().item()  # of the second image; the rest is black, from the first
    assert 0 < own < 1
    assert ((mixed[1] == 60) | (mixed[1] == 0)).all()
    assert torch.allclose(shares[1], torch.tensor([1, own, 0.0]))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_what_is_unknown_of_either_image_is_unknown_of_both(kind):
    images, targets = batch()
    targets[1, 2] = targets[3, 0] = torch.nan
    torch.manual_seed(1)
    _, shares = Mixing(**{kind: 1.0})(images, targets)
    # Each image is mixed with the one before it, the first with the last.
    assert shares.isnan().tolist() == [
        [True, False, False],
        [False, False, True],
        [False, False, True],
        [True, False, False],
    ]
    assert 0 < float(shares[1, 1]) < 1 and float(shares[1, 0]) == 1  # what is known is mixed as ever


def test_the_same_seed_mixes_alike_and_a_share_of_batches_stays():
    images, targets = batch()
    mixing = Mixing(mixup=0.4, cutmix=1.0, p=0.5)
    mixed, kinds = 0, set()
    for seed in range(200):
        torch.manual_seed(seed)
        first, _ = mixing(images, targets)
        torch.manual_seed(seed)
        second, _ = mixing(images, targets)
        assert torch.equal(first, second)
        if first is not images:
            mixed += 1
            kinds.add(bool((first[1] == first[1, 0, 0, 0]).all()))  # MixUp leaves one colour, CutMix makes two
    assert 70 < mixed < 130
    assert kinds == {True, False}


def test_one_image_has_nobody_to_mix_with():
    images, targets = batch()
    assert Mixing(mixup=1.0)(images[:1], targets[:1])[0].dtype == torch.uint8


@pytest.mark.parametrize(("options", "message"), [({"mixup": -1}, "0 or more"), ({"p": 2}, "between 0 and 1, not 2")])
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Mixing(**options)
