"""Shards: the images, labels and samples that files give, wherever they lie; clear words where they do not fit."""

import json
import multiprocessing
import os
import pickle
import shutil
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake.images import write_image
from fake.server import serve
from PIL import Image

from polytag.data.dataset import AnnouncingSampler, EvaluationSampler, TrainSampler, shuffled
from polytag.data.label_table import make_table
from polytag.data.loaders import evaluation_loader, train_loader
from polytag.data.presize import Presize
from polytag.data.resize_cache import ResizeCache
from polytag.data.sampling import check_sampling
from polytag.data.shard_cache import ShardCache
from polytag.data.storage import Layout
from polytag.data.streaming import read_index, read_shards
from polytag.data.transforms import SideOn
from polytag.errors import UserError
from polytag.schedule.curves import Constant
from polytag.schedule.recipe import Phase
from polytag.write_shards import order_of_rows, write_shards

# Torch advises against more workers than cores; here their number is the point.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SHARD = 20_000  # bytes: about three of the images below


def make_source(folder: Path, count: int = 30):
    """Return a table of noisy PNG files, the last six of which validate."""
    names = [f"{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 50, 3), dtype=np.uint8)
        write_image(folder / name, pixels)
    labels = [["cat"] * (number % 2) + ["a dog"] * (number % 3 == 0) for number in range(count)]
    split = ["train"] * (count - 6) + ["val"] * 6
    return make_table(folder, names, labels, split=split)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def written(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "shards"
    assert write_shards(source, folder, SHARD) == len(list(folder.glob("*.bin"))) > 6
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """Return a copy of the shards that a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "copy"))


def read(folder, tmp_path, **options):
    return read_shards(str(folder), str(tmp_path / "cache"), **options)


def test_images_labels_names_and_splits_are_those_of_the_source(source, written, tmp_path):
    table = read(written, tmp_path)
    assert table.classes == source.classes and len(table) == len(source)
    row_of = {name: row for row, name in enumerate(source.names)}
    assert sorted(table.names) == sorted(source.names) and table.names.tolist() != source.names.tolist()
    for row, name in enumerate(table.names):
        there = row_of[name]
        assert table.storage.read(table.paths[row]) == Path(source.paths[there]).read_bytes()
        assert np.array_equal(table.read(row), source.read(there))
        assert np.array_equal(table.read(row, Presize(30, "crop")), source.read(there, Presize(30, "crop")))
        assert table.split[row] == source.split[there]
        assert np.array_equal(table.targets[row], source.targets[there])


def test_what_is_unknown_stays_so(source, tmp_path):
    targets = source.targets.copy()
    targets[::2, 1], targets[4] = -1, -1
    write_shards(replace(source, targets=targets), tmp_path / "shards", SHARD)
    table = read(tmp_path / "shards", tmp_path)
    assert table.classes == source.classes and sorted(table.names) == sorted(source.names)
    row_of = {name: row for row, name in enumerate(source.names)}
    assert np.array_equal(table.targets, targets[[row_of[name] for name in table.names]])
    assert (table.targets == -1).sum() == 16


def test_each_split_is_written_as_a_whole_and_in_random_order(source):
    order = order_of_rows(source, 0)
    assert sorted(order[:24]) == list(range(24)) and sorted(order[24:]) == list(range(24, 30))
    assert order[:24].tolist() != list(range(24))
    assert order.tolist() == order_of_rows(source, 0).tolist() != order_of_rows(source, 1).tolist()


def test_names_of_files_that_are_there_stay_names(source, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(source.paths[0]).parent)
    write_shards(source, tmp_path / "shards", SHARD)
    assert read(tmp_path / "shards", tmp_path).read(0).shape[2] == 3


def test_without_a_split_whoever_trains_cuts_one(source, tmp_path):
    write_shards(replace(source, split=np.array([""] * len(source))), tmp_path / "shards", SHARD)
    assert set(read(tmp_path / "shards", tmp_path).split) == {""}


def test_shards_are_shuffled_window_by_window():
    shard = np.repeat(np.arange(10), 4)
    order = shuffled(40, np.random.default_rng(0), Layout(shard, 3, print))
    assert sorted(order) == list(range(40))
    windows = [set(shard[order[start : start + 12]]) for start in range(0, 40, 12)]
    assert [len(window) for window in windows] == [3, 3, 3, 1] and set.union(*windows) == set(range(10))
    assert windows[0] != {0, 1, 2} and len(set(shard[order[:4]])) > 1  # mixed within a window
    other = shuffled(40, np.random.default_rng(1), Layout(shard, 3, print))
    assert [set(shard[other[start : start + 12]]) for start in range(0, 40, 12)] != windows


def test_class_aware_sampling_of_shards_is_refused(written, tmp_path):
    with pytest.raises(UserError, match=r"data.sampling=class_aware needs .* lie in shards: data.sampling=shuffled"):
        check_sampling("class_aware", read(written, tmp_path))
    check_sampling("shuffled", read(written, tmp_path))


def test_a_subset_of_rows_is_shuffled_too():
    order = shuffled(6, np.random.default_rng(0), Layout(np.array([7, 7, 2, 2, 9, 9]), 1, print))
    assert sorted(order) == list(range(6))
    assert all(abs(order[i] - order[i + 1]) == 1 for i in (0, 2, 4))  # the two of a shard follow one another


def batches(table, workers, epoch=0, world_size=1, rank=0, done=0):
    phase = Phase(epochs=1, image_size=32, frozen=(), lr=1e-3, curve=Constant())
    share = (rank, world_size)
    loader = train_loader(table, SideOn(), phase, 4, workers, 3, share=share, batches_done=lambda: done)
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images) and torch.equal(a.rows, b.rows) for a, b in zip(one, other, strict=True)
    )


def test_samples_do_not_depend_on_workers_and_ranks_and_go_on_anywhere(written, tmp_path):
    table = read(written, tmp_path, window=2).part("train")
    alone = batches(table, 0)
    assert sorted(torch.cat([batch.rows for batch in alone]).tolist()) == list(range(24))
    assert same(alone, batches(table, 2)) and not same(alone, batches(table, 0, epoch=1))
    assert same(alone[2:], batches(table, 2, done=2))
    ranks = [batches(table, 0, world_size=2, rank=rank) for rank in (0, 1)]
    together = [rows for pair in zip(*ranks, strict=True) for rows in zip(pair[0].rows, pair[1].rows, strict=True)]
    assert [int(row) for pair in together for row in pair] == torch.cat([batch.rows for batch in alone]).tolist()


def test_shards_are_announced_before_they_are_read(written, tmp_path):
    table = read(written, tmp_path, window=2).part("train")
    said: list[int] = []
    layout = replace(table.storage.layout(table.paths.tolist()), want=said.append)
    sampler = TrainSampler(len(table), 4, 0, layout=layout)
    shards = [int(layout.shard[key.row]) for key in sampler]
    rows_of_a_window = 2 * max(shards.count(shard) for shard in shards)
    for position, key in enumerate(AnnouncingSampler(sampler, layout)):
        assert layout.shard[key.row] == shards[position]
        assert said == list(dict.fromkeys(shards[: position + rows_of_a_window + 1]))
    assert len(AnnouncingSampler(EvaluationSampler(24), layout)) == 24


@pytest.mark.parametrize("workers", [0, 2])
def test_a_far_folder_is_fetched_as_it_is_needed(written, tmp_path, workers):
    here = read(written, tmp_path)
    far = read(f"local:{written}", tmp_path)
    place = far.storage.folder
    assert place.parent == tmp_path / "cache" and not list(place.glob("*.bin"))  # reading labels fetches no shard
    assert np.array_equal(far.read(3), here.read(3)) and len(list(place.glob("*.bin"))) == 1
    common = (SideOn(), 32, 4, workers)
    assert same(list(evaluation_loader(far.part("val"), *common)), list(evaluation_loader(here.part("val"), *common)))
    assert same(batches(far.part("train"), workers), batches(here.part("train"), workers))
    assert {file.name for file in place.glob("*.bin")} == {file.name for file in written.glob("*.bin")}


def test_the_shard_used_longest_ago_makes_room(written, tmp_path):
    shards = read_index(written / "index.json", "")[:4]
    files = [shard.file for shard in shards]
    cache = ShardCache(f"local:{written}", tmp_path, sum(shard.size for shard in shards) - 1)
    cache.sizes = {shard.file: shard.size for shard in shards}
    for second, number in enumerate((0, 1, 2, 0)):
        os.utime(cache.fetch(files[number]), (second, second))
    cache.fetch(files[3])
    assert {file.name for file in tmp_path.glob("*.bin")} == {files[0], files[2], files[3]}


def test_a_little_room_changes_no_sample(written, tmp_path):
    size = max(shard.size for shard in read_index(written / "index.json", "")) / 1e9
    table = read(f"local:{written}", tmp_path, window=1, shard_cache_gb=3.2 * size)
    assert same(batches(table.part("train"), 0), batches(read(written, tmp_path, window=1).part("train"), 0))
    end = time.monotonic() + 10
    while sum(file.stat().st_size for file in table.storage.folder.glob("*.bin")) > 3.2e9 * size:
        assert time.monotonic() < end  # the last shards that were announced may still come and make room
    with pytest.raises(UserError, match=r"data.shard_cache_gb=.* is too little for data.window=1 shards"):
        read(f"local:{written}", tmp_path, window=1, shard_cache_gb=1.5 * size)


def test_a_changed_data_set_is_fetched_again(folder, source, tmp_path, caplog):
    before = read(f"local:{folder}", tmp_path).read(0)
    shutil.rmtree(folder)
    write_shards(source, folder, SHARD, seed=5)
    table = read(f"local:{folder}", tmp_path)
    assert np.array_equal(table.read(0), read(folder, tmp_path).read(0)) and not np.array_equal(table.read(0), before)
    assert "has changed" in caplog.text


def _read_all(table, results):
    results.put([int(table.read(row).sum()) for row in range(len(table))])


def test_processes_share_what_was_fetched(written, tmp_path):
    table = read(f"local:{written}", tmp_path)
    table.read(0)  # open in this process too
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    others = [context.Process(target=_read_all, args=(table, results)) for _ in range(3)]
    for process in others:
        process.start()
    here = read(written, tmp_path)
    wanted = [int(here.read(row).sum()) for row in range(len(here))]
    assert [results.get(timeout=60) for _ in others] == [wanted] * 3
    assert pickle.loads(pickle.dumps(table)).read(5).sum() == wanted[5]
    assert not list(table.storage.folder.glob("*.partial"))


def test_a_bucket_is_read_through_its_own_protocol(written, tmp_path, monkeypatch):
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with serve() as site:
        site.files |= {f"/bucket/set/{file.name}": file.read_bytes() for file in written.iterdir()}
        options = {"endpoint_url": site.address}
        table = read("s3://bucket/set/", tmp_path, storage_options=options)
        assert site.asked == ["/bucket/set/index.json", "/bucket/set/labels.csv"]
        here = read(written, tmp_path)
        assert same(batches(table.part("train"), 2), batches(here.part("train"), 0))
        asked = [path for path in site.asked if path.endswith(".bin")]
        assert len(asked) == len(set(asked))  # each shard once, whoever needs it
        with pytest.raises(UserError, match=r"s3://bucket/other/index.json cannot be fetched .*404.*Correct data.root"):
            read("s3://bucket/other", tmp_path, storage_options=options)


def test_a_far_shard_that_goes_or_is_cut_later_is_named(folder, tmp_path):
    table = read(f"local:{folder}", tmp_path)
    first, second = (folder / shard.file for shard in table.storage.shards[:2])
    first.unlink()
    with pytest.raises(
        UserError, match=rf"{first.name} cannot be fetched \(FileNotFoundError.*copy the data set there"
    ):
        table.read(0)
    second.write_bytes(second.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"{second.name} is cut short \(100 of [\d,]+ bytes\)"):
        table.read(table.storage.shards[0].samples)


@pytest.mark.parametrize("before", ["", "local:"])
def test_shards_that_are_missing_or_cut_are_named_at_the_start(folder, tmp_path, before):
    file = folder / json.loads((folder / "index.json").read_text())["chunks"][1]["filename"]
    content = file.read_bytes()
    file.write_bytes(content[:-50])
    with pytest.raises(UserError, match=rf"{file.name} is cut short .*Copy it again"):
        read(f"{before}{folder}", tmp_path)
    file.unlink()
    with pytest.raises(UserError, match=rf"{file.name} is missing"):
        read(f"{before}{folder}", tmp_path)


def test_a_shard_that_goes_later_is_named(folder, tmp_path):
    table = read(folder, tmp_path)
    table.read(0)
    (folder / table.storage.shards[1].file).unlink()
    second = table.storage.shards[0].samples
    for _ in range(2):  # and never the image of another shard
        with pytest.raises(UserError, match=rf"The shard .*{table.storage.shards[1].file} is gone"):
            table.read(second)
    assert table.read(0).shape[2] == 3


def test_labels_must_fit_the_samples(folder, tmp_path):
    lines = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(UserError, match=r"has 29 different images, and the shards in .* have 30 samples"):
        read(folder, tmp_path)
    (folder / "labels.csv").write_text("\n".join([lines[0], *sorted(lines[1:])]))
    table = read(folder, tmp_path)
    with pytest.raises(UserError, match=r"Sample 0 of .* is \d+.png, and its line in the labels is 0.png"):
        table.read(0)
    (folder / "labels.csv").unlink()
    with pytest.raises(UserError, match="There is no label file"):
        read(folder, tmp_path)


def test_what_is_no_index_of_ours_is_refused(folder, tmp_path):
    index = folder / "index.json"
    content = json.loads(index.read_text())
    for key, value, words in (
        ("compression", "zstd", "have compression=zstd. Write them without"),
        ("item_loader", "TokensLoader", "are for litdata's TokensLoader"),
    ):
        index.write_text(json.dumps(content | {"config": content["config"] | {key: value}}))
        with pytest.raises(UserError, match=words):
            read(folder, tmp_path)
    index.write_text("{}")
    with pytest.raises(UserError, match="is no index of litdata's shards"):
        read(folder, tmp_path)
    with pytest.raises(UserError, match=r"There is no index of shards"):
        read(tmp_path, tmp_path)
    with pytest.raises(UserError, match=r"There is no folder .*nowhere"):
        read(tmp_path / "nowhere", tmp_path)
    with pytest.raises(UserError, match=r"data.window must be 1 or more, not 0"):
        read(folder, tmp_path, window=0)


def write_foreign(folder, source, make):
    """Write shards with litdata alone, and labels by hand."""
    from litdata.streaming import Cache

    folder.mkdir()
    cache = Cache(str(folder), chunk_bytes=SHARD)
    for number, path in enumerate(source.paths):
        cache[number] = make(path)
    cache.done()
    cache.merge()
    lines = [f"{name},{'cat' if has else ''}" for name, has in zip(source.names, source.targets[:, 1], strict=True)]
    (folder / "labels.csv").write_text("\n".join(["file,tags", *lines]))


def test_shards_that_litdata_wrote_from_pictures_give_their_jpeg_files(source, tmp_path):
    """litdata stores what Pillow has opened from a JPEG file as that file. It would decode it, too, when reading."""
    for path in source.paths:
        Image.open(path).save(Path(tmp_path, Path(path).name).with_suffix(".jpg"))
    jpegs = [str(Path(tmp_path, Path(path).name).with_suffix(".jpg")) for path in source.paths]
    photos = replace(source, paths=np.array(jpegs))
    with ExitStack() as opened:
        write_foreign(tmp_path / "foreign", photos, lambda path: (opened.enter_context(Image.open(path)), 7))
    table = read(tmp_path / "foreign", tmp_path, image_field=0)
    assert table.classes == ("cat",)
    assert table.storage.read(table.paths[4]) == Path(jpegs[4]).read_bytes()
    with pytest.raises(UserError, match=r"0 of .* has no field 'image' \(it has a .*\): name another data.image_field"):
        read(tmp_path / "foreign", tmp_path).read(0)


def test_pixels_instead_of_a_file_are_refused(source, tmp_path):
    write_foreign(tmp_path / "foreign", source, lambda path: {"photo": np.asarray(Image.open(path))})
    with pytest.raises(UserError, match=r"The field 'photo' of 0 of .* is a .*, not the bytes of an image file"):
        read(tmp_path / "foreign", tmp_path, image_field="photo").read(0)
    with pytest.raises(UserError, match=r"no field 'image' \(it has photo\)"):
        read(tmp_path / "foreign", tmp_path).read(0)


class Trap:
    """What a shard of strangers could hold: something that runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_what_strangers_have_pickled_stays_pickled(source, tmp_path):
    write_foreign(tmp_path / "foreign", source, lambda path: {"image": Path(path).read_bytes(), "more": Trap()})
    assert np.array_equal(read(tmp_path / "foreign", tmp_path).read(3), source.read(3))


def test_a_damaged_image_in_a_shard_is_named(source, tmp_path):
    write_foreign(tmp_path / "foreign", source, lambda path: {"image": b"no image"})
    with pytest.raises(
        UserError, match=r"The image 3 of .*foreign cannot be read \(not an image\).*write the shards again"
    ):
        read(tmp_path / "foreign", tmp_path).read(3)


def test_the_resize_cache_takes_images_from_shards(source, written, tmp_path):
    table, presize = read(written, tmp_path), Presize(24, "squish")
    cache = ResizeCache(tmp_path / "images")
    assert cache.fill(table, [presize]) == {presize: 30} and cache.fill(table, [presize]) == {presize: 0}
    stored = cache.find(table, presize)
    assert all(np.array_equal(stored.read(row), table.read(row, presize)) for row in range(30))
    by_content = ResizeCache(tmp_path / "images", key="content")
    by_content.fill(source, [presize])
    assert not len(by_content.find(table, presize).missing)  # the bytes are those of the files


def test_without_litdata_there_is_a_word_on_how_to_get_it(written, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "litdata", None)
    with pytest.raises(UserError, match=r"Shards need litdata, which `make setup` installs"):
        read(written, tmp_path)


def test_what_cannot_be_written_leaves_nothing_behind(source, tmp_path):
    twice = replace(source, names=np.array(["0.png"] * len(source)))
    with pytest.raises(UserError, match=r"Two images have the same name: 0.png"):
        write_shards(twice, tmp_path / "out", SHARD)
    with pytest.raises(UserError, match=r"A class is called image, and labels.csv would read as another one"):
        write_shards(replace(source, classes=("image", "cat")), tmp_path / "out", SHARD)
    gone = replace(source, paths=np.array([*source.paths[:-1], str(tmp_path / "gone.png")]))
    with pytest.raises(UserError, match=r"The image .*gone.png cannot be read \(No such file"):
        write_shards(gone, tmp_path / "out", SHARD)
    assert not list(tmp_path.iterdir())
