"""Statistics of a label table, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from polytag.data.label_table import make_table
from polytag.data.statistics import (
    classes_of_every_image,
    classes_without_positive,
    describe,
    imbalance,
    known_counts,
    label_counts,
    labels_per_image,
    shares,
    unlabelled_rows,
)

LABELS = [["cat", "dog"], ["cat"], [], ["cat", "dog", "fish"], [], ["dog"]]
FILES = [f"{i}.png" for i in range(6)]


@pytest.fixture
def table():
    return make_table(Path("."), FILES, LABELS, classes=["cat", "dog", "emu", "fish"])


def test_counts(table):
    assert label_counts(table).tolist() == [3, 3, 0, 1]
    assert labels_per_image(table).tolist() == [2, 2, 1, 1]
    assert unlabelled_rows(table).tolist() == [2, 4]


def test_counts_beyond_a_byte():
    table = make_table(Path("."), [f"{i}" for i in range(300)], [["a", "b"]] * 300)
    assert label_counts(table).tolist() == [300, 300]


# Four images: a cat of which nobody knows whether there is a dog; a dog, cat unknown; a cat, no dog; nothing known.
PARTIAL = make_table(
    Path("."),
    ["0", "1", "2", "3"],
    [["cat"], ["dog"], ["cat"], []],
    unknown=[["dog"], ["cat", "emu"], ["emu"], ["cat", "dog", "emu"]],
    split=["train"] * 3 + ["val"],
)


def test_what_is_unknown_counts_neither_as_there_nor_as_absent():
    assert PARTIAL.targets.tolist() == [[1, -1, 0], [-1, 1, -1], [1, 0, -1], [-1, -1, -1]]
    assert label_counts(PARTIAL).tolist() == [2, 1, 0]
    assert known_counts(PARTIAL).tolist() == [2, 2, 1]
    assert shares(PARTIAL).tolist() == [1.0, 0.5, 0.0]
    assert labels_per_image(PARTIAL).tolist() == [1, 3]
    assert unlabelled_rows(PARTIAL).tolist() == [3]
    assert classes_without_positive(PARTIAL) == ("emu",)
    assert classes_of_every_image(PARTIAL.rows(np.array([0, 1]))) == ()
    assert np.isnan(shares(PARTIAL.part("val"))).all()


def test_describe_says_how_much_is_unknown():
    assert describe(PARTIAL) == [
        "4 images: 3 train, 1 val",
        "3 classes, 0.75 known labels an image, 1 image with no label that is known to be there",
        "7 labels of 12 unknown: left out of the loss and the scores",
        "1 class without a positive in train: emu",
        "3 classes without a positive in val: cat, dog, emu",
    ]


def test_images_with_one_known_label_each_may_have_more():
    one_each = make_table(Path("."), ["a", "b"], [["x"], ["y"]], unknown=[["y"], []])
    assert not any("exactly one label" in line for line in describe(one_each))


def test_the_imbalance_in_a_line(table):
    # 7 labels of 6 images and 4 classes; 3 cats, 3 dogs, no emu, 1 fish.
    assert imbalance(table) == "1.17 labels an image, density 0.292; largest over smallest count 3.0"
    many = make_table(Path("."), [f"{i}" for i in range(2001)], [["a"]] * 2000 + [["b"]])
    assert imbalance(many) == "1.00 labels an image, density 0.5; largest over smallest count 2,000"
    # 3 of the 5 known entries are there
    assert imbalance(PARTIAL) == "0.75 known labels an image, density 0.6; largest over smallest count 2.0"
    nothing = make_table(Path("."), ["a"], [[]], classes=["x"])
    assert imbalance(nothing) == "0.00 labels an image, density 0"


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
