"""`clean-cache`: lists, and deletes what has not been used for longest."""

import os

import numpy as np
import pytest

from polytag.data.array_store import ArrayStore


@pytest.fixture
def stores(tmp_path):
    """Two stores with a segment of 1,000,000 bytes each, the first one last used earlier."""
    both = [ArrayStore(tmp_path / "cache" / name, np.uint8) for name in ("old", "new")]
    for number, store in enumerate(both):
        with store.locked(), store.writing() as segment:
            segment.append(b"k", np.zeros((1000, 1000), np.uint8))
        (index,) = store.folder.glob("*.npz")
        os.utime(index, (0, 1_000_000_000 + number))
    return both


def test_without_a_size_it_only_lists(call, stores):
    done = call("clean_cache", "paths.cache=cache")
    assert done.code == 0 and "0.002 GB" in done.out and "2001-09-09" in done.out
    assert all(not len(store.find([b"k"]).missing) for store in stores)


def test_no_name_is_cut(call, stores, tmp_path):
    name = "features_128px_tf_efficientnet_lite0_" + "a" * 60
    stores[0].folder.rename(tmp_path / "cache" / name)
    assert name in call("clean_cache", "paths.cache=cache").out


def test_the_least_recently_used_goes_first(call, stores):
    done = call("clean_cache", "paths.cache=cache", "keep_gb=0.0015")
    assert "Deleted 0.001 of 0.002 GB." in done.out
    assert [len(store.find([b"k"]).missing) for store in stores] == [1, 0]


def test_reading_counts_as_use(call, stores):
    stores[0].find([b"k"])
    call("clean_cache", "paths.cache=cache", "keep_gb=0.0015")
    assert [len(store.find([b"k"]).missing) for store in stores] == [0, 1]


def test_everything_can_go_and_a_damaged_index_is_no_obstacle(call, stores):
    next(stores[0].folder.glob("*.npz")).write_bytes(b"PK")
    assert call("clean_cache", "paths.cache=cache", "keep_gb=0").code == 0
    assert not list(stores[0].folder.glob("*.arrays")) and not list(stores[1].folder.glob("*.arrays"))


def test_an_empty_cache_and_a_wrong_number(call):
    assert "0 GB" in call("clean_cache").out
    done = call("clean_cache", "keep_gb=-1")
    assert done.code == 2 and "keep_gb=-1 must be a number from 0" in done.err


def test_a_size_must_be_a_number(call, stores):
    done = call("clean_cache", "paths.cache=cache", "keep_gb=abc")
    assert done.code == 2 and "keep_gb=abc must be a number from 0" in done.err
