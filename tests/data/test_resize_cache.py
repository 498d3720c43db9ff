"""The resize cache: the pixels of the plain path, shared and grown, whoever dies, within its limit."""

import errno
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from fake.images import write_image
from PIL import Image

from polytag.data.array_store import ArrayStore
from polytag.data.cache_folder import folder_bytes
from polytag.data.label_table import make_table
from polytag.data.loaders import evaluation_loader
from polytag.data.presize import Presize
from polytag.data.resize_cache import ResizeCache
from polytag.data.transforms import Plain
from polytag.errors import UserError

SIZES = ((120, 90), (90, 120), (40, 300), (20, 20), (64, 64))
SMALL, LARGE = Presize(32, "squish"), Presize(64, "squish")


def noise(number: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def make_images(root: Path, count: int, suffix: str = ".jpg"):
    root.mkdir(exist_ok=True)
    names = [f"{number}{suffix}" for number in range(count)]
    for number, name in enumerate(names):
        if not (root / name).exists():
            write_image(root / name, noise(number, *SIZES[number % len(SIZES)]))
    return make_table(root, names, [["a"], ["b"]] * (count // 2) + [["a"]] * (count % 2))


@pytest.fixture
def table(tmp_path):
    return make_images(tmp_path / "images", 10)


@pytest.fixture
def cache(tmp_path):
    return ResizeCache(tmp_path / "cache")


def test_presize_targets_never_enlarge_and_go_by_the_mode():
    assert Presize(83, "squish").target(256, 384) == (83, 83)
    assert Presize(300, "squish").target(256, 384) == (256, 300)
    assert Presize(128, "crop").target(256, 384) == (128, 192)
    assert Presize(96, "pad").target(256, 384) == (64, 96)
    assert Presize(500, "crop").target(256, 384) == Presize(500, "pad").target(256, 384) == (256, 384)
    assert Presize(64, "pad").target(1, 1000) == (1, 64)


def test_a_decoder_reduces_only_as_far_as_the_target_allows():
    assert [Presize(side, "squish").reduction(256, 384) for side in (32, 33, 64, 65, 128, 129)] == [8, 4, 4, 2, 2, 1]
    assert Presize(128, "crop").reduction(512, 2048) == 4
    assert Presize(128, "pad").reduction(512, 2048) == 8  # 64 x 256 for a target of 32 x 128


@pytest.mark.parametrize("mode", ["squish", "crop", "pad"])
def test_a_reduced_jpeg_looks_like_the_whole_one_shrunk(tmp_path, mode):
    path = tmp_path / "a.jpg"
    write_image(path, noise(3, 400, 600))
    table = make_table(tmp_path, ["a.jpg"], [["a"]])
    whole, presize = table.decoder.read(path), Presize(40, mode)
    reduced = table.decoder.read(path, presize)
    assert reduced.shape[:2] == presize.target(400, 600)
    by_pillow = Image.fromarray(whole).resize(reduced.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(reduced.astype(int) - np.asarray(by_pillow)).mean() < 2


def test_exif_orientation_is_applied_to_reduced_files_too(tmp_path):
    picture = Image.fromarray(noise(1, 200, 400))
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    picture.save(tmp_path / "a.jpg", exif=exif)
    table = make_table(tmp_path, ["a.jpg"], [["a"]])
    assert table.decoder.read(table.paths[0]).shape == (400, 200, 3)
    assert table.decoder.read(table.paths[0], Presize(50, "crop")).shape == (100, 50, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("mode", ["squish", "crop", "pad"])
def test_stored_pixels_are_those_of_the_plain_path(tmp_path, cache, mode, suffix):
    table, presize = make_images(tmp_path / "images", 10, suffix), Presize(32, mode)
    cache.fill(table, [presize])
    stored = cache.find(table, presize)
    assert not len(stored.missing)
    for row, path in enumerate(table.paths):
        assert np.array_equal(stored.read(row), table.decoder.read(path, presize))


def test_one_thread_and_eight_store_the_same_bytes(tmp_path, table):
    contents = []
    for threads in (1, 8):
        cache = ResizeCache(tmp_path / str(threads))
        cache.fill(table, [SMALL], threads)
        (file,) = (tmp_path / str(threads)).glob("*/*.arrays")
        contents.append(file.read_bytes())
    assert contents[0] == contents[1] and len(contents[0]) > 10_000


def test_a_loader_gives_the_same_batches_with_and_without_it(table, cache):
    transforms = Plain("crop", presize=1.3)
    cache.fill(table, [transforms.presized(24)])
    plain, cached = (
        list(evaluation_loader(table, transforms, 24, 4, workers, cache=which))
        for workers, which in ((0, None), (2, cache))
    )
    for one, other in zip(plain, cached, strict=True):
        assert np.array_equal(one.images, other.images)


def test_it_is_really_read_from(table, cache):
    transforms = Plain(presize=1.3)
    cache.fill(table, [transforms.presized(24)])
    stats = {path: os.stat(path) for path in table.paths}
    for path in table.paths:  # the same size and time, so the same key, but no image any more
        Path(path).write_bytes(b"x" * stats[path].st_size)
        os.utime(path, ns=(stats[path].st_atime_ns, stats[path].st_mtime_ns))
    assert len(list(evaluation_loader(table, transforms, 24, 4, 0, cache=cache))) == 3
    with pytest.raises(UserError, match="cannot be read"):
        list(evaluation_loader(table, transforms, 24, 4, 0))


def test_a_data_set_that_grows_costs_only_the_new_images(tmp_path, table, cache):
    assert cache.fill(table, [SMALL, LARGE]) == {SMALL: 10, LARGE: 10}
    assert cache.fill(table, [SMALL, LARGE]) == {SMALL: 0, LARGE: 0}
    grown = make_images(tmp_path / "images", 13)
    assert cache.fill(grown, [SMALL]) == {SMALL: 3}
    assert not len(cache.find(grown, SMALL).missing)
    assert cache.find(grown, LARGE).missing.tolist() == [10, 11, 12]


def test_a_subset_in_another_order_finds_its_images(table, cache):
    cache.fill(table, [SMALL])
    some = table.rows(np.array([7, 2, 2, 5]))
    stored = cache.find(some, SMALL)
    for row, path in enumerate(some.paths):
        assert np.array_equal(stored.read(row), table.decoder.read(path, SMALL))


def test_a_changed_file_is_another_image(table, cache):
    cache.fill(table, [SMALL])
    write_image(Path(table.paths[4]), noise(99, 70, 70))
    assert cache.find(table, SMALL).missing.tolist() == [4]


def test_keys_by_content_are_shared_by_copies(tmp_path, table):
    cache = ResizeCache(tmp_path / "cache", key="content")
    cache.fill(table, [SMALL])
    shutil.copytree(tmp_path / "images", tmp_path / "moved")
    moved = make_images(tmp_path / "moved", 10)
    assert not len(cache.find(moved, SMALL).missing)
    with pytest.raises(UserError, match=r"data\.cache_key=name is neither stat nor content"):
        ResizeCache(tmp_path, key="name")


def test_too_little_room_is_said_before_anything_is_written(tmp_path, table):
    cache = ResizeCache(tmp_path / "cache", limit_gb=1e-5)
    words = r"32 px, 64 px take about .* GB in all, more than data.cache_gb=1e-05. Raise it, or go without"
    with pytest.raises(UserError, match=words):
        cache.fill(table, [SMALL, LARGE])
    assert folder_bytes(tmp_path / "cache") == 0


def test_deleting_is_advised_only_where_it_helps(tmp_path, table):
    ResizeCache(tmp_path / "cache").fill(table, [LARGE])
    used = folder_bytes(tmp_path / "cache") / 1e9
    with pytest.raises(UserError, match=r"with the .* GB that are in .*clean-cache keep_gb="):
        ResizeCache(tmp_path / "cache", limit_gb=1.05 * used).fill(table, [SMALL])
    with pytest.raises(UserError, match=r"64 px, 32 px take about .* GB in all, more than data.cache_gb"):
        ResizeCache(tmp_path / "cache", limit_gb=1.05 * used).fill(table, [LARGE, SMALL])  # needs what is there too


def test_a_broken_image_is_named_and_the_images_before_it_stay(table, cache):
    Path(table.paths[6]).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"6\.jpg cannot be read"):
        cache.fill(table, [SMALL])
    assert cache.find(table, SMALL).missing.tolist() in (
        [6, 7, 8, 9],
        list(range(10)),
    )  # the estimate may meet it first


def _fill(images: Path, folder: Path) -> None:
    ResizeCache(folder).fill(make_images(images, 10), [SMALL])


def test_two_processes_at_once_store_each_image_once(tmp_path, table):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_fill, args=(tmp_path / "images", tmp_path / "cache")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(list((tmp_path / "cache").glob("*/*.arrays"))) == 1
    assert not len(ResizeCache(tmp_path / "cache").find(table, SMALL).missing)


def _write_and_wait(folder: Path) -> None:
    store = ArrayStore(folder, np.uint8)
    with store.locked(), store.writing() as segment:
        segment.append(b"k", np.zeros((2, 2), np.uint8))
        (folder / "started").touch()
        time.sleep(60)


def test_a_writer_that_is_killed_leaves_nothing_in_the_way(tmp_path):
    folder = tmp_path / "store"
    writer = multiprocessing.get_context("spawn").Process(target=_write_and_wait, args=(folder,))
    writer.start()
    while not (folder / "started").exists():
        time.sleep(0.05)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert list(folder.glob("*.unfinished"))
    store = ArrayStore(folder, np.uint8)
    assert store.find([b"k"]).missing.tolist() == [0]
    with store.locked(), store.writing() as segment:
        segment.append(b"k", np.ones((2, 2), np.uint8))
    assert store.find([b"k"]).read(0).tolist() == [[1, 1], [1, 1]]
    assert not list(folder.glob("*.unfinished"))


def test_a_damaged_segment_is_written_anew(table, cache):
    cache.fill(table, [SMALL])
    (file,) = cache.folder.glob("*/*.arrays")
    file.write_bytes(file.read_bytes()[:-1])
    assert len(cache.find(table, SMALL).missing) == 10
    cache.fill(table, [SMALL])
    assert not len(cache.find(table, SMALL).missing)
    (index, *_) = cache.folder.glob("*/*.index.npz")
    index.write_bytes(b"PK")
    cache.fill(table, [SMALL])
    assert not len(cache.find(table, SMALL).missing)


def test_deleted_arrays_are_read_from_the_images_again(table, cache):
    transforms = Plain(presize=1.3)
    cache.fill(table, [transforms.presized(24)])
    loader = evaluation_loader(table, transforms, 24, 4, 0, cache=cache)
    shutil.rmtree(cache.folder)
    assert len(list(loader)) == 3


def test_it_travels_to_another_process_without_its_pixels(table, cache):
    cache.fill(table, [LARGE])
    stored = cache.find(table, LARGE)
    first = stored.read(0)
    assert len(pickle.dumps(stored)) < 5_000 < first.nbytes
    assert np.array_equal(pickle.loads(pickle.dumps(stored)).read(0), first)


def test_parts_of_arrays_come_from_any_segment(tmp_path):
    store = ArrayStore(tmp_path / "store", np.float32)
    arrays = [np.arange(number, number + 6, dtype=np.float32).reshape(2, 3) for number in (0, 10, 20)]
    for keys in ((0, 1), (2,)):
        with store.locked(), store.writing() as segment:
            for key in keys:
                segment.append(str(key).encode(), arrays[key])
    stored = store.find([b"2", b"0", b"1", b"0"])
    parts = stored.read_parts(np.array([0, 3, 2, 1]), np.array([1, 0, 1, 1]))
    assert parts.tolist() == [[23, 24, 25], [0, 1, 2], [13, 14, 15], [3, 4, 5]]
    assert store.find([b"0", b"x"]).read_parts(np.array([0, 1]), np.array([0, 0])) is None


def test_a_presize_below_the_image_size_is_refused():
    with pytest.raises(UserError, match=r"transforms\.presize=0\.9 would shrink below the image size"):
        Plain(presize=0.9)
    assert Plain().presized(64) is None
    assert Plain("crop", presize=1.3).presized(64) == Presize(83, "crop")


def test_a_complete_cache_may_be_read_only(table, cache, monkeypatch):
    cache.fill(table, [SMALL])

    def refuse(*_, **__):
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(ArrayStore, "locked", refuse)
    assert cache.fill(table, [SMALL]) == {SMALL: 0}
    assert not len(cache.find(table, SMALL).missing)


def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = ArrayStore(tmp_path / "store", np.uint8)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="The disk is full"), store.locked(), store.writing() as segment:
        segment.append(b"k", np.zeros((2, 2), np.uint8))
    assert store.find([b"k"]).missing.tolist() == [0]


def test_an_append_that_is_cut_short_spoils_nothing(tmp_path):
    store = ArrayStore(tmp_path / "store", np.uint8)

    def write():
        with store.locked(), store.writing() as segment:
            segment.append(b"k", np.full((2, 2), 7, np.uint8))
            segment.file.write(b"half an array")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert store.find([b"k", b"l"]).missing.tolist() == [1]
    assert store.find([b"k"]).read(0).tolist() == [[7, 7], [7, 7]]
