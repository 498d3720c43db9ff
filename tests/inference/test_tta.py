"""Test-time augmentation: which views there are, and that the mean is taken over all of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake.images import write_image
from torch import nn

from polytag import load_run
from polytag.data.label_table import make_table
from polytag.data.loaders import evaluation_loader
from polytag.data.transforms import Augmentation, Plain, SideOn
from polytag.errors import UserError
from polytag.inference.predictor import predict_probabilities
from polytag.inference.tta import Dihedral, FiveCrop, Flip, MultiScale, NoTTA, RandomViews
from polytag.inference.views import check_views
from polytag.models.network import build_network

CPU = torch.device("cpu")
ALL = [NoTTA(), Flip(), Dihedral(), FiveCrop(), MultiScale(multiple=2), RandomViews(views=3)]


class ReadsPixel(nn.Module):
    """One label: surely there where the pixel in the first row and second column is bright."""

    def forward(self, images):
        return (images[:, 0, 0, 1].float() - 127.5).unsqueeze(1)


class AlwaysSure(nn.Module):
    def forward(self, images):
        return torch.full((len(images), 1), 1000.0)


def table_of(folder, images):
    """Write images and return their table."""
    names = [f"{number}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        write_image(folder / name, image)
    return make_table(folder, names, [["x"]] * len(names))


def mean_over_views(network, table, tta, size, transforms=None, batch_size=2, num_workers=0):
    """Add up the passes of a TTA as the run does."""
    total = 0
    for part in tta.passes(transforms or Plain(), size):
        loader = evaluation_loader(table, part.transforms, part.image_size, batch_size, num_workers)
        total = total + predict_probabilities(network, loader, CPU, views=part.views)
    return total.astype(np.float32)


def views_of(tta, image, size):
    (only,) = tta.passes(Plain(), size)
    batch = torch.tensor(image, dtype=torch.uint8).expand(1, 3, -1, -1)
    return [view.operation(batch)[0, 0].tolist() for view in only.views]


def noise(count, height, width=None, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, height, width or height, 3), np.uint8))


def test_the_eight_views_of_a_square():
    assert sorted(views_of(Dihedral(), [[1, 2], [3, 4]], 2)) == [
        [[1, 2], [3, 4]],
        [[1, 3], [2, 4]],
        [[2, 1], [4, 3]],
        [[2, 4], [1, 3]],
        [[3, 1], [4, 2]],
        [[3, 4], [1, 2]],
        [[4, 2], [3, 1]],
        [[4, 3], [2, 1]],
    ]


def test_flip_mirrors_left_and_right():
    assert views_of(Flip(), [[1, 2], [3, 4]], 2) == [[[1, 2], [3, 4]], [[2, 1], [4, 3]]]


def test_five_crops_are_the_corners_and_the_middle():
    image = torch.arange(36).reshape(6, 6).tolist()
    assert [view[0][0] for view in views_of(FiveCrop(1.5), image, 4)] == [0, 2, 12, 14, 7]
    assert [view[-1][-1] for view in views_of(FiveCrop(1.5), image, 4)] == [21, 23, 33, 35, 28]
    assert [FiveCrop(1.15).passes(Plain(), size)[0].image_size for size in (8, 64, 224)] == [10, 74, 258]


@pytest.mark.parametrize("tta", ALL, ids=repr)
def test_the_weights_of_all_views_add_up_to_one(tta):
    assert sum(view.weight for part in tta.passes(SideOn(), 16) for view in part.views) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("tta", ALL, ids=repr)
def test_a_sure_network_stays_within_one(tta, tmp_path):
    probabilities = mean_over_views(AlwaysSure(), table_of(tmp_path, noise(3, 16)), tta, 16, SideOn())
    assert probabilities.dtype == np.float32
    assert probabilities.tolist() == [[1.0], [1.0], [1.0]]


def test_the_mean_and_the_order_of_rows_in_an_odd_number_of_batches(tmp_path):
    # The pixel that the network reads comes from eight places: (0,1) (0,2) (1,0) (2,0) (1,3) (2,3) (3,1) (3,2).
    bright = [[], [(0, 1)], [(0, 1), (0, 2)], [(0, 0), (1, 1), (2, 2)], [(1, 0), (2, 3), (3, 2)]]
    images = [np.zeros((4, 4, 3), np.uint8) for _ in bright]
    for image, places in zip(images, bright, strict=True):
        for row, column in places:
            image[row, column] = 255
    table = table_of(tmp_path, images)
    assert mean_over_views(ReadsPixel(), table, NoTTA(), 4).ravel().tolist() == [0, 1, 1, 0, 0]
    assert mean_over_views(ReadsPixel(), table, Flip(), 4).ravel().tolist() == [0, 0.5, 1, 0, 0]
    assert mean_over_views(ReadsPixel(), table, Dihedral(), 4).ravel().tolist() == [0, 0.125, 0.25, 0, 0.375]
    assert mean_over_views(ReadsPixel(), table, Dihedral(), 4, batch_size=5).ravel()[4] == 0.375


def test_the_plain_view_is_the_networks_own_to_the_last_bit(finished_run, tmp_path):
    run, images = replace(load_run(finished_run), image_size=48), noise(3, 48)
    with torch.inference_mode():
        expected = run.network(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)).sigmoid().numpy()
    table = table_of(tmp_path, images)
    assert np.array_equal(run.predict(table, device=CPU), expected)
    assert np.array_equal(run.predict(table, device=CPU, tta=NoTTA()), expected)


def test_flip_is_the_average_of_images_and_mirrored_files(finished_run, tmp_path):
    run, images = replace(load_run(finished_run), image_size=48), noise(3, 48)
    there = run.predict(table_of(tmp_path / "there", images), device=CPU)
    back = run.predict(table_of(tmp_path / "back", [image[:, ::-1] for image in images]), device=CPU)
    assert not np.allclose(there, back, atol=1e-4)
    averaged = run.predict(table_of(tmp_path, images), device=CPU, tta=Flip())
    assert averaged == pytest.approx((there + back) / 2, abs=1e-6)


def test_scales_are_the_predictions_at_these_sizes(finished_run, tmp_path):
    run, table = replace(load_run(finished_run), image_size=48), table_of(tmp_path, noise(3, 60, 80))
    sizes = [32, 48, 64]
    by_hand = [
        predict_probabilities(run.network, evaluation_loader(table, run.transforms, size, 2, 0), CPU) for size in sizes
    ]
    assert run.predict(table, device=CPU, tta=MultiScale()) == pytest.approx(sum(by_hand) / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "expected"), [(224, [192, 224, 256]), (96, [80, 96, 112]), (64, [48, 64, 80]), (32, [16, 32, 48])]
)
def test_scales_keep_to_multiples_from_the_runs_size(size, expected):
    assert [part.image_size for part in MultiScale().passes(Plain(), size)] == expected


def test_scales_that_come_to_one_size_are_refused():
    with pytest.raises(UserError, match=r"give the sizes 16, 16, 32: .* lower tta\.multiple=16"):
        MultiScale((0.8, 0.9, 1.0)).passes(Plain(), 32)


def test_sizes_that_the_network_does_not_take_are_refused():
    network = build_network("test_vit", "none", "linear", 2)
    check_views(MultiScale(), network, Plain(), 64)
    check_views(FiveCrop(), network, Plain(), 64)  # prepared at 74 pixels, seen at 64
    with pytest.raises(UserError, match="asks for another image size: test_vit does not take images of 50 x 50"):
        check_views(MultiScale(multiple=14), network, Plain(), 64)


class Filled(Augmentation):
    def __init__(self, size, value):
        self.image = np.full((size, size, 3), value, np.uint8)

    def __call__(self, image, key=None):
        return self.image


class Brightens(Plain):
    """Plain images are black, training images white."""

    def train(self, size):
        return Filled(size, 255)

    def evaluation(self, size):
        return Filled(size, 0)


@pytest.mark.parametrize(("weight", "expected"), [(0.2, 0.8), (0.25, 0.75), (1.0, 0.0)])
def test_the_plain_view_has_its_share_among_random_views(weight, expected, tmp_path):
    # fastai 0.7: 4 random views and the plain one, a fifth each. fastai v2: beta=0.25 for the plain one.
    tta = RandomViews(views=4, plain_weight=weight)
    result = mean_over_views(ReadsPixel(), table_of(tmp_path, noise(3, 8)), tta, 8, Brightens())
    assert result.ravel().tolist() == pytest.approx([expected] * 3, abs=1e-7)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_random_views_follow_from_seed_and_image_alone(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), Scaled(), nn.Linear(3 * 16 * 16, 2))
    table = table_of(tmp_path, noise(5, 40))

    def predict(rows, tta=None, **loading):
        return mean_over_views(network, rows, tta or RandomViews(), 16, SideOn(), **loading)

    all_rows = predict(table)
    assert np.array_equal(all_rows, predict(table))
    assert np.array_equal(all_rows, predict(table, num_workers=2))
    alone = predict(table.rows(np.array([3])))
    assert alone == pytest.approx(all_rows[3:4], abs=1e-6)
    assert not np.allclose(all_rows, predict(table, RandomViews(seed=1)), atol=1e-3)
    assert not np.allclose(all_rows, predict(table, NoTTA()), atol=1e-3)


class Scaled(nn.Module):
    def forward(self, pixels):
        return pixels.float() / 255


def test_the_random_views_of_an_image_differ():
    image = noise(1, 40)[0]
    parts = RandomViews(views=3).passes(SideOn(), 16)
    shown = [part.transforms.evaluation(16)(image) for part in parts]
    assert all(not np.array_equal(a, b) for i, a in enumerate(shown) for b in shown[:i])
    assert np.array_equal(shown[0], SideOn().evaluation(16)(image))


def test_an_image_with_odd_strides_gets_the_same_views():
    image = noise(1, 40)[0]
    drawn = RandomViews().passes(SideOn(), 16)[1].transforms.evaluation(16)
    assert np.array_equal(drawn(image), drawn(np.asfortranarray(image)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Flip(mirror=False), r"tta=flip mirrors images.* insist with tta\.mirror=true"),
        (lambda: Dihedral(mirror=False), "tta=dihedral mirrors"),
        (lambda: FiveCrop(1.0), r"tta\.ratio=1\.0"),
        (lambda: MultiScale([]), r"tta\.scales=\[\]"),
        (lambda: MultiScale([1, -1]), r"tta\.scales=\[1, -1\]"),
        (lambda: MultiScale(multiple=0), r"tta\.multiple=0"),
        (lambda: RandomViews(views=0), r"tta\.views=0"),
        (lambda: RandomViews(plain_weight=1.5), r"tta\.plain_weight=1\.5"),
        (lambda: RandomViews(seed=-1), r"tta\.seed=-1"),
    ],
)
def test_settings_that_make_no_sense_are_named(wrong, message):
    with pytest.raises(UserError, match=message):
        wrong()
