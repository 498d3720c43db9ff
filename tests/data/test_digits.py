"""The built-in scenes."""

import csv
import hashlib
import os

import numpy as np
import pytest

from polytag.data import digits
from polytag.data.digits import compose_scene, read_digits
from polytag.errors import UserError


def test_labels_are_the_digits_that_were_painted(tmp_path):
    table = read_digits(str(tmp_path), train_scenes=60, val_scenes=30)
    assert len(table) == 90
    assert table.classes == tuple("0123456789")
    assert (table.split == "train").sum() == 60
    counts = table.targets.sum(1)
    assert counts.min() == 0  # empty scenes stay in
    assert counts.max() <= 4
    assert table.decoder.read(table.paths[0]).shape == (96, 96, 3)


def test_the_same_seed_gives_the_same_pixels(tmp_path):
    def fingerprint(table):
        return [hashlib.sha256(table.decoder.read(path).tobytes()).hexdigest() for path in table.paths]

    first = fingerprint(read_digits(str(tmp_path / "a"), 5, 5))
    assert fingerprint(read_digits(str(tmp_path / "b"), 5, 5)) == first
    assert fingerprint(read_digits(str(tmp_path / "c"), 5, 5, scene_seed=1)) != first


def test_a_second_call_composes_nothing(tmp_path, monkeypatch):
    read_digits(str(tmp_path), 3, 3)
    monkeypatch.setattr(digits, "compose_scene", lambda *_: pytest.fail("composed again"))
    assert len(read_digits(str(tmp_path), 3, 3)) == 6


def test_a_stopped_composition_leaves_no_folder(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(digits, "compose_scene", stop)
        with pytest.raises(KeyboardInterrupt):
            read_digits(str(tmp_path), 3, 3)
    assert os.listdir(tmp_path) == []
    assert len(read_digits(str(tmp_path), 3, 3)) == 6


def test_validation_scenes_use_other_digits_than_training_scenes(tmp_path, monkeypatch):
    pools = []

    def record(glyphs, names, size, rng):
        pools.append({glyph.tobytes() for glyph in glyphs})
        return np.zeros((size, size, 3), np.uint8), []

    monkeypatch.setattr(digits, "compose_scene", record)
    with pytest.raises(UserError):  # no scene has a label now, but they have all been composed... with classes given
        read_digits(str(tmp_path), 0, 1)
    read_digits(str(tmp_path), 1, 1)
    train, val = pools
    duplicates = train & val  # two different people may write the same 8x8 digit
    assert len(duplicates) <= 1
    assert len(train) > 2 * len(val) > 800


def test_a_painted_digit_is_labelled_and_visible():
    glyphs = np.ones((1, 8, 8), np.float32)
    with_digit = None
    for seed in range(20):
        scene, present = compose_scene(glyphs, np.array([7]), 64, np.random.default_rng(seed))
        assert present in ([], [7])
        if present:
            with_digit = scene
    assert with_digit is not None
    assert with_digit.std() > 20


def test_labels_file_is_an_example_for_the_csv_source(tmp_path):
    table = read_digits(str(tmp_path), 4, 2)
    folder = os.path.dirname(table.paths[0])
    with open(os.path.join(folder, "labels.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "tags", "split"]
    assert [row["split"] for row in rows] == ["train"] * 4 + ["val"] * 2


@pytest.mark.parametrize("numbers", [(0, 1, 96), (1, 0, 96), (1, 1, 16)])
def test_too_small_numbers_are_refused(tmp_path, numbers):
    with pytest.raises(UserError, match="at least 1 training scene"):
        read_digits(str(tmp_path), *numbers)


def test_a_folder_of_photographs_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds other files \(photo.jpg\).* Add data=folder, csv"):
        read_digits(str(tmp_path), 3, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
