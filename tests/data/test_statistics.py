"""Statistics of a label table, counted by hand."""

from pathlib import Path

import pytest

from polytag.data.label_table import make_table
from polytag.data.statistics import cooccurrence, describe, label_counts, labels_per_image, unlabelled_rows

LABELS = [["cat", "dog"], ["cat"], [], ["cat", "dog", "fish"], [], ["dog"]]
FILES = [f"{i}.png" for i in range(6)]


@pytest.fixture
def table():
    return make_table(Path("."), FILES, LABELS, classes=["cat", "dog", "emu", "fish"])


def test_counts(table):
    assert label_counts(table).tolist() == [3, 3, 0, 1]
    assert labels_per_image(table).tolist() == [2, 2, 1, 1]
    assert unlabelled_rows(table).tolist() == [2, 4]
    assert cooccurrence(table).tolist() == [[3, 2, 0, 1], [2, 3, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]]


def test_counts_beyond_a_byte():
    table = make_table(Path("."), [f"{i}" for i in range(300)], [["a", "b"]] * 300)
    assert label_counts(table).tolist() == [300, 300]
    assert cooccurrence(table).tolist() == [[300, 300], [300, 300]]


def test_describe_names_what_a_training_should_know():
    split = ["train", "train", "train", "val", "val", "test"]
    table = make_table(Path("."), FILES, LABELS, classes=["cat", "dog", "emu", "fish"], split=split)
    assert describe(table) == [
        "6 images: 3 train, 2 val, 1 test",
        "4 classes, 1.17 labels an image, 2 images without a label",
        "2 classes without a positive in train: emu, fish",
        "1 class without a positive in val: emu",
    ]


def test_describe_before_the_split_and_with_single_labels():
    table = make_table(Path("."), ["a", "b"], [["x"], ["y"]])
    assert describe(table) == [
        "2 images: 2 without a split",
        "2 classes, 1.00 labels an image, 0 images without a label",
        "every image has exactly one label: trained as multi-label all the same",
    ]


def test_describe_warns_of_a_label_that_every_training_image_has():
    table = make_table(Path("."), ["a", "b", "c"], [["images"]] * 3, split=["train", "train", "val"])
    assert describe(table)[2:] == ["every training image has images: nothing to learn there; is it the right folder?"]
