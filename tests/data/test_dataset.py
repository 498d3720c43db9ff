"""Samples, their order, and that workers and ranks change neither."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from polytag.data.dataset import EvaluationSampler, ImageDataset, SampleKey, TrainSampler, collate
from polytag.data.digits import read_digits
from polytag.data.transforms import SideOn

# Torch advises against more workers than cores; here their number is the point.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return read_digits(str(tmp_path_factory.mktemp("digits")), 24, 6).part("train")


def batches(table, workers, epochs=(0,), rank=0, world_size=1, seed=3):
    sampler = TrainSampler(len(table), 4, seed, rank, world_size)
    loader = DataLoader(
        ImageDataset(table, SideOn().train(32), seed),
        batch_size=4,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
    )
    out = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        out += list(loader)
    return out


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images) and torch.equal(a.rows, b.rows) for a, b in zip(one, other, strict=True)
    )


def test_a_batch_is_uint8_and_channels_last(table):
    batch = batches(table, 0)[0]
    assert batch.images.shape == (4, 3, 32, 32) and batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.targets.shape == (4, 10) and batch.targets.dtype == torch.int8
    assert torch.equal(batch.targets, torch.from_numpy(table.targets[batch.rows.numpy()]))


def test_samples_are_the_same_with_0_2_and_8_workers_over_two_epochs(table):
    alone = batches(table, 0, epochs=(0, 1))
    assert same(alone, batches(table, 2, epochs=(0, 1)))
    assert same(alone, batches(table, 8, epochs=(0, 1)))


def test_two_runs_are_equal_and_another_seed_is_not(table):
    assert same(batches(table, 0), batches(table, 0))
    assert not same(batches(table, 0), batches(table, 0, seed=4))


def test_epochs_differ_in_order_and_in_pixels(table):
    first, second = batches(table, 0, epochs=(0,)), batches(table, 0, epochs=(1,))

    def by_row(listed):
        return {int(r): image for batch in listed for r, image in zip(batch.rows, batch.images, strict=True)}

    one, two = by_row(first), by_row(second)
    assert one.keys() == two.keys() == set(range(24))
    assert [b.rows.tolist() for b in first] != [b.rows.tolist() for b in second]
    assert sum(torch.equal(one[r], two[r]) for r in one) == 0


def test_no_two_workers_draw_alike(tmp_path):
    """Identical images in one epoch must not come out identical: albumentations' own seeding fails this."""
    one = read_digits(str(tmp_path), 1, 1).part("train")
    copies = one.rows(np.zeros(16, np.int64))
    images = [image for batch in batches(copies, 4) for image in batch.images]
    assert len({image.numpy().tobytes() for image in images}) == 16


def test_two_ranks_see_together_what_one_sees(table):
    alone = [row for batch in batches(table, 0) for row in batch.rows.tolist()]
    first = [row for batch in batches(table, 0, rank=0, world_size=2) for row in batch.rows.tolist()]
    second = [row for batch in batches(table, 0, rank=1, world_size=2) for row in batch.rows.tolist()]
    assert [row for pair in zip(first, second, strict=True) for row in pair] == alone


@pytest.mark.parametrize(
    ("rows", "batch_size", "world_size", "counts"),
    [(24, 4, 1, 24), (25, 4, 1, 24), (26, 4, 1, 26), (1, 4, 1, 1), (5, 4, 2, 3), (9, 4, 2, 4)],
)
def test_a_last_batch_of_one_image_is_left_out(rows, batch_size, world_size, counts):
    for rank in range(world_size):
        keys = list(TrainSampler(rows, batch_size, 0, rank, world_size))
        assert len(keys) == len(TrainSampler(rows, batch_size, 0, rank, world_size)) == counts
        assert all(0 <= key.row < rows for key in keys)


def test_evaluation_covers_every_row_in_order_and_evenly():
    assert [key.row for key in EvaluationSampler(5)] == [0, 1, 2, 3, 4]
    shares = [[key.row for key in EvaluationSampler(5, rank, 2)] for rank in range(2)]
    assert shares == [[0, 2, 4], [1, 3, 0]]  # the last one repeats a row, which the gatherer drops


def test_what_is_unknown_reaches_the_batch(table):
    targets = table.targets.copy()
    targets[:, 3] = -1
    partial = replace(table, targets=targets)
    for batch in batches(partial, 0):
        assert torch.equal(batch.targets, torch.from_numpy(targets[batch.rows.numpy()]))
        assert (batch.targets[:, 3] == -1).all()


def test_a_sample_key_is_all_that_a_worker_gets(table):
    dataset = ImageDataset(table, SideOn().train(32), seed=0)
    key = SampleKey(epoch=2, position=7, row=3)
    assert torch.equal(dataset[key].image, dataset[key].image)
    assert dataset[key].row == 3
