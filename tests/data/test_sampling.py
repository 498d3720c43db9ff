"""Class-aware sampling: who comes how often, counted by hand; and that nothing but seed and position decides."""

from collections import Counter
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import pytest
import torch
from fake.csv import make_csv

from polytag.data.array_store import StoredArrays
from polytag.data.csv import read_csv
from polytag.data.dataset import TrainSampler
from polytag.data.files import require_files
from polytag.data.label_table import make_table
from polytag.data.loaders import feature_loader, train_loader
from polytag.data.sampling import ClassAware, check_sampling
from polytag.data.transforms import SideOn
from polytag.errors import UserError
from polytag.schedule.curves import Constant
from polytag.schedule.recipe import Phase

# Torch advises against more workers than cores; here their number is the point.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def one_label_each(*sizes):
    """Return the multi-hot rows of classes of some sizes, one label an image."""
    return np.repeat(np.eye(len(sizes), dtype=bool), sizes, axis=0)


def epochs_of(drawn, count):
    return np.concatenate([drawn.order(epoch) for epoch in range(count)]).tolist()


SKEWED = one_label_each(90, 6, 3)  # rows 0 to 89, 90 to 95, 96 to 98


def test_an_epoch_keeps_its_length_and_gives_each_class_the_same_share():
    drawn = ClassAware(SKEWED, seed=0)
    first = drawn.order(0)
    assert first.shape == (99,) and SKEWED[first].sum(0).tolist() == [33, 33, 33]  # of 90, 6 and 3 images
    times = Counter(first.tolist())
    assert [times[row] for row in (96, 97, 98)] == [11, 11, 11]
    assert sorted(times[row] for row in range(90, 96)) == [5, 5, 5, 6, 6, 6]
    assert max(times[row] for row in range(90)) == 1


def test_classes_come_in_rounds_and_not_always_in_the_same_order():
    classes = SKEWED[ClassAware(SKEWED, seed=0).order(0)].argmax(1).reshape(33, 3).tolist()
    assert all(sorted(turn) == [0, 1, 2] for turn in classes)
    assert len({tuple(turn) for turn in classes}) == 6


def test_each_image_of_a_class_comes_once_before_any_comes_again_over_epochs_too():
    rows = [row for row in epochs_of(ClassAware(SKEWED, seed=0), 6) if row < 90]
    assert len(rows) == 6 * 33
    assert sorted(rows[:90]) == sorted(rows[90:180]) == list(range(90)) and rows[:90] != rows[90:180]


def test_an_epoch_may_end_inside_a_round():
    drawn = ClassAware(one_label_each(7, 2, 1), seed=3)  # 10 samples an epoch, 3 classes a round
    classes = [0 if row < 7 else 1 if row < 9 else 2 for row in epochs_of(drawn, 3)]
    assert Counter(classes) == {0: 10, 1: 10, 2: 10}
    assert all(sorted(classes[start : start + 3]) == [0, 1, 2] for start in range(0, 30, 3))


def test_an_image_comes_for_each_of_its_labels_and_one_without_any_for_none():
    # Rows 0 to 3 have class a, row 4 has a and b, row 5 has nothing, and nobody c: a, b and "nothing" take turns.
    positives = np.array([[1, 0, 0]] * 4 + [[1, 1, 0], [0, 0, 0]], dtype=bool)
    # 5 epochs of 6 are 10 rounds: a's five rows twice each, row 4 ten times more for b, row 5 ten times.
    assert Counter(epochs_of(ClassAware(positives, seed=1), 5)) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 12, 5: 10}


def test_what_is_unknown_is_no_positive():
    labels, unknown = [["cat"], ["cat"], ["dog"], []], [["dog"], ["dog"], [], ["cat", "dog"]]
    table = make_table(Path("."), ["0", "1", "2", "3"], labels, unknown=unknown)
    # Of 12 samples 4 are cats, 4 the only known dog, and 4 the image of which nothing is known.
    assert Counter(epochs_of(ClassAware(table.positives, seed=0), 3)) == {0: 2, 1: 2, 2: 4, 3: 4}


def test_without_any_label_each_image_comes_once():
    assert sorted(ClassAware(np.zeros((5, 2), bool), seed=0).order(4).tolist()) == [0, 1, 2, 3, 4]


def test_the_order_follows_from_seed_and_epoch_alone():
    one, other = ClassAware(SKEWED, seed=0), ClassAware(SKEWED, seed=0)
    epochs = [one.order(epoch).tolist() for epoch in range(4)]
    assert other.order(3).tolist() == epochs[3]  # nobody had to ask for the epochs before it
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert ClassAware(SKEWED, seed=1).order(3).tolist() != epochs[3]


def keys(rank=0, world_size=1, done=0, epoch=2):
    sampler = TrainSampler(99, 5, 5, rank, world_size, lambda: done, class_aware=ClassAware(SKEWED, 5))
    sampler.set_epoch(epoch)
    assert len(sampler) == -(-99 // world_size)
    return list(sampler)


def test_ranks_share_the_order_out_by_position():
    alone = keys()
    assert [key.row for key in alone] == ClassAware(SKEWED, 5).order(2).tolist()
    for ranks in (3, 11):
        shared = [keys(rank, ranks) for rank in range(ranks)]
        assert list(chain.from_iterable(zip_longest(*shared))) == alone  # rows, positions and epoch
    two = [key for pair in zip(keys(0, 2), keys(1, 2), strict=True) for key in pair]
    assert two[:99] == alone and two[99].row == alone[0].row  # past the end it starts again


def test_an_epoch_goes_on_where_it_was_left():
    assert keys(done=7) == keys()[35:]
    assert keys(1, 3, done=2) == keys(1, 3)[10:]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    make_csv(root, rows=12)
    return require_files(read_csv(str(root)))


def batches(table, workers, done=0):
    phase = Phase(epochs=1, image_size=32, frozen=(), lr=1e-3, curve=Constant())
    options = {"batches_done": lambda: done, "sampling": "class_aware"}
    loader = train_loader(table, SideOn(), phase, 4, workers, 3, **options)
    loader.sampler.set_epoch(1)
    return list(loader)


def test_workers_change_nothing_and_a_repeated_image_is_augmented_anew(table):
    alone = batches(table, 0)
    for other in (batches(table, 2), [*alone[:1], *batches(table, 2, done=1)]):
        assert all(torch.equal(a.images, b.images) for a, b in zip(alone, other, strict=True))
    rows = torch.cat([batch.rows for batch in alone])
    images = torch.cat([batch.images for batch in alone])
    repeated = [row for row, times in Counter(rows.tolist()).items() if times > 1]
    assert repeated
    for row in repeated:
        assert len({image.numpy().tobytes() for image in images[rows == row]}) == int((rows == row).sum())


def test_features_come_in_the_order_of_the_images(table, tmp_path):
    values = np.arange(24, dtype=np.float32)  # one view of two numbers for each of 12 rows
    values.tofile(tmp_path / "features")
    starts, shapes = np.arange(0, 24, 2), [(1, 2)] * 12
    features = StoredArrays([tmp_path / "features"], np.zeros(12, np.int64), starts, shapes, values.dtype)
    loader = feature_loader(table, features, 4, 3, sampling="class_aware")
    loader.sampler.set_epoch(1)
    for batch, of_images in zip(loader, batches(table, 0), strict=True):
        assert torch.equal(batch.rows, of_images.rows) and torch.equal(batch.targets, of_images.targets)
        assert torch.equal(batch.features[:, 0], 2.0 * batch.rows)


def test_other_words_are_refused(table):
    with pytest.raises(UserError, match=r"data.sampling=classaware is neither .* Did you mean 'class_aware'\?"):
        check_sampling("classaware", table)
    check_sampling("class_aware", table)
