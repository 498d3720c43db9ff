"""CSV files in the shapes that people have."""

import logging
from pathlib import Path

import numpy as np
import pytest
from fake.csv import CLASSES, make_csv, write_csv
from fake.images import draw, write_image

from polytag.data.csv import add_suffixes, read_csv, split_tags
from polytag.errors import UserError


def test_tags(tmp_path: Path) -> None:
    labels = make_csv(tmp_path, rows=12)
    table = read_csv(str(tmp_path))
    assert table.classes == CLASSES
    assert [[name for name in CLASSES if row[CLASSES.index(name)]] for row in table.targets] == labels
    assert table.targets.dtype == np.int8 and not table.targets[0].any() and table.targets[1].all()
    assert table.names[:2].tolist() == ["0.png", "1.png"]
    assert table.paths[1] == str(tmp_path / "1.png")
    assert set(table.split) == {""}


def test_flag_columns_keep_the_order_of_the_file(tmp_path: Path) -> None:
    write_csv(tmp_path, ["file,zebra,ape", "a.jpg,0,1", "b.jpg,1.0,0.0", "c.jpg,0,0"])
    table = read_csv(str(tmp_path))
    assert table.classes == ("zebra", "ape")
    assert table.targets.tolist() == [[0, 1], [1, 0], [0, 0]]


def test_empty_cells_and_minus_one_are_unknown(tmp_path: Path) -> None:
    write_csv(tmp_path, ["file,ape,bear,cow", "a.jpg,1,,0", "b.jpg,-1,1.0,-1.0", "c.jpg,0.0, ,", "d.jpg,,-1,"])
    table = read_csv(str(tmp_path))
    assert table.targets.tolist() == [[1, -1, 0], [-1, 1, -1], [0, -1, -1], [-1, -1, -1]]
    assert table.positives.tolist() == [[True, False, False], [False, True, False], [False] * 3, [False] * 3]
    assert read_csv(str(tmp_path), classes=["cow", "ape"]).targets.tolist() == [[0, 1], [-1, -1], [-1, 0], [-1, -1]]


def test_a_class_of_which_nothing_is_known_stays_one(tmp_path: Path) -> None:
    write_csv(tmp_path, ["file,ape,bear", "a.jpg,1,", "b.jpg,0,"])
    table = read_csv(str(tmp_path))
    assert table.classes == ("ape", "bear") and table.targets.tolist() == [[1, -1], [0, -1]]


def test_of_tags_nothing_is_unknown(tmp_path: Path) -> None:
    write_csv(tmp_path, ["file,tags", "a.jpg,cat", "b.jpg,", "c.jpg,cat -1"])
    table = read_csv(str(tmp_path))
    assert table.classes == ("-1", "cat") and table.targets.tolist() == [[0, 1], [0, 0], [1, 1]]


def test_classes_choose_among_flag_columns_and_set_the_order(tmp_path: Path) -> None:
    write_csv(tmp_path, ["file,ape,weight,zebra", "a.jpg,0,3.5,1"])
    table = read_csv(str(tmp_path), classes=["zebra", "ape"])
    assert table.classes == ("zebra", "ape") and table.targets.tolist() == [[1, 0]]


def test_classes_set_the_order_of_tags_and_may_be_numbers(tmp_path: Path) -> None:
    write_csv(tmp_path, ["file,tags", "a.jpg,7 9"])
    assert read_csv(str(tmp_path), classes=[9, 8, 7]).targets.tolist() == [[1, 0, 1]]  # type: ignore[list-item]


def test_named_columns_separator_and_folder(tmp_path: Path) -> None:
    write_csv(tmp_path, ["id,topics,where", "1,a|b ,x.png", "2,,y.png"], name="deep.csv")
    table = read_csv(
        str(tmp_path), file=str(tmp_path / "deep.csv"), images="pictures",
        image_column="where", label_column="topics", separator="|",
    )  # fmt: skip
    assert table.classes == ("a", "b") and table.targets.tolist() == [[1, 1], [0, 0]]
    assert table.paths[0] == str(tmp_path / "pictures" / "x.png")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_delimiters_byte_order_mark_and_blank_lines(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = ["image,tags", "a.jpg,cat dog", "", " , ", "b.jpg,grün"]
    write_csv(tmp_path, [line.replace(",", delimiter) for line in lines], encoding=encoding)
    table = read_csv(str(tmp_path))
    assert table.classes == ("cat", "dog", "grün") and table.names.tolist() == ["a.jpg", "b.jpg"]


def test_row_numbers_of_pandas_are_no_class(tmp_path: Path) -> None:
    write_csv(tmp_path, [",image,cat,dog", "0,a.jpg,1,0", "1,b.jpg,0,1"])
    table = read_csv(str(tmp_path))
    assert table.classes == ("cat", "dog") and table.names.tolist() == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        ("is_valid", ["False", "True", "0", "1"], ["train", "val", "train", "val"]),
        ("split", ["train", "VAL", "valid", "test"], ["train", "val", "val", "test"]),
        ("part", ["validation", "test", "true", "false"], ["val", "test", "val", "train"]),
    ],
)
def test_split_column(tmp_path: Path, column: str, cells: list[str], expected: list[str]) -> None:
    write_csv(tmp_path, [f"image,cat,{column}", *(f"{row}.jpg,1,{cell}" for row, cell in enumerate(cells))])
    table = read_csv(str(tmp_path), split_column="part" if column == "part" else None)
    assert table.classes == ("cat",) and table.split.tolist() == expected


def test_names_without_suffix_are_found_in_the_folder(tmp_path: Path) -> None:
    for name in ("a.jpg", "deep/b.PNG", "c.v2.jpg"):
        write_image(tmp_path / name, draw([], CLASSES))
    write_csv(tmp_path, ["image,tags", "a,cat", "deep/b,cat", "c.v2,cat", "gone,dog"])
    assert read_csv(str(tmp_path)).names.tolist() == ["a.jpg", "deep/b.PNG", "c.v2.jpg", "gone"]
    assert read_csv(str(tmp_path), suffix=".tif").names.tolist() == ["a.tif", "deep/b.tif", "c.v2.tif", "gone.tif"]


def test_two_files_of_one_stem_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        write_image(tmp_path / name, draw([], CLASSES))
    with pytest.raises(UserError, match=r"a.jpg, a.png: say with data.suffix"):
        add_suffixes(tmp_path, ["a"])
    assert add_suffixes(tmp_path, ["a", "b.png"], ".jpg") == ["a.jpg", "b.png"]


def test_labels_that_may_be_several_are_pointed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_csv(tmp_path, ["image,tags", "a.jpg,cat|dog", "b.jpg,cat"])
    assert read_csv(str(tmp_path)).classes == ("cat", "cat|dog")
    assert caplog.messages == ["No image has two labels, but 'cat|dog' may be several: if so, data.separator='|'."]
    caplog.clear()
    assert read_csv(str(tmp_path), separator="|").classes == ("cat", "dog")
    write_csv(tmp_path, ["image,tags", "a.jpg,cat|dog owl", "b.jpg,cat"])  # a label with a mark in its name
    read_csv(str(tmp_path))
    assert caplog.messages == []


def test_the_same_line_twice_is_kept_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_csv(tmp_path, ["image,tags", "a.jpg,cat dog", "b.jpg,cat", "./a.jpg,dog cat"])
    with caplog.at_level(logging.WARNING):
        table = read_csv(str(tmp_path))
    assert table.names.tolist() == ["a.jpg", "b.jpg"] and "1 images more than once" in caplog.text


def test_the_same_line_twice_may_leave_the_same_cells_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_csv(tmp_path, ["image,cat,dog", "a.jpg,1,", "a.jpg,1.0,-1"])
    with caplog.at_level(logging.WARNING):
        table = read_csv(str(tmp_path))
    assert table.targets.tolist() == [[1, -1]] and "1 images more than once" in caplog.text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,tags", "a.jpg,cat", "a.jpg,dog"], ["a.jpg twice", "as cat and as dog"]),
        (["image,tags,split", "a.jpg,cat,train", "a.jpg,cat,val"], ["a.jpg twice", "(train)", "(val)"]),
        (["image,cat", "a.jpg,2"], ["line 2", "'cat'", "'2'", "(empty or -1: unknown)", "data.label_column"]),
        (["image,cat", "a.jpg,1", "b.jpg,-2"], ["line 3", "'cat'", "'-2'", "data.classes"]),
        (["image,cat,dog", "a.jpg,1,0", "a.jpg,1,"], ["a.jpg twice", "as cat and as cat, dog?"]),
        (["image,cat,dog", "a.jpg,,0", "a.jpg,0,-1"], ["a.jpg twice", "as cat? and as dog?"]),
        (["image,cat,dog", "a.jpg,0,0", "a.jpg,-1,0"], ["a.jpg twice", "as no label and as cat?"]),
        (["image,tags", ",cat"], ["line 2", "'image' names no image"]),
        (["image,tags,split", "a.jpg,cat,often"], ["line 2", "'split'", "'often'", "train, val, test"]),
        (["image,tags,split", "a.jpg,cat,"], ["line 2", "'split'", "''"]),
        (["image,tags", "a.jpg,cat,dog"], ["line 2", "3 cells", "header has 2", "quotes"]),
        (["image,cat,cat", "a.jpg,1,0"], ["same name", "cat"]),
        (["a.jpg,cat", "b.jpg,dog"], ["header line"]),
        (["image", "a.jpg"], ["no column of labels"]),
        (["label,image", "cat,a.jpg"], ["'label'", "data.image_column"]),
        (["image,tags"], ["lists no image"]),
        (["image,tags", "a.jpg,"], ["no label"]),
        ([], ["empty"]),
        (["image,tags", '"a.jpg,cat'], ["not a CSV file"]),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, lines: list[str], words: list[str]) -> None:
    path = write_csv(tmp_path, lines)
    with pytest.raises(UserError) as caught:
        read_csv(str(tmp_path))
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_column": "imgae"}, ["'imgae'", "data.image_column", "image, tags", "Did you mean 'image'?"]),
        ({"label_column": "tag"}, ["'tag'", "data.label_column", "Did you mean 'tags'?"]),
        ({"split_column": "is_valid"}, ["'is_valid'", "data.split_column"]),
        ({"classes": ["cat", "dgo"]}, ["'dog'", "Did you mean 'dgo'?"]),
        ({"separator": ""}, ["data.separator is empty"]),
        ({"suffix": "jpg"}, ["data.suffix=jpg", "Did you mean '.jpg'?"]),
        ({"file": "label.csv"}, ["no label file", "label.csv"]),
    ],
)
def test_a_bad_option_is_refused_by_name(tmp_path: Path, options: dict[str, str], words: list[str]) -> None:
    write_csv(tmp_path, ["image,tags", "a.jpg,cat dog"])
    with pytest.raises(UserError) as caught:
        read_csv(str(tmp_path), **options)  # type: ignore[arg-type]
    assert [word for word in words if word not in str(caught.value)] == [], caught.value


def test_missing_root_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*nowhere.*data.root"):
        read_csv(str(tmp_path / "nowhere"))
    write_csv(tmp_path, ["image,tags", "a.jpg,grün"], encoding="latin-1")
    with pytest.raises(UserError, match="UTF-8"):
        read_csv(str(tmp_path))


def test_split_tags() -> None:
    assert split_tags("  a  b\tc ") == ["a", "b", "c"]
    assert split_tags("new york, rome ,", ",") == ["new york", "rome"]
    assert split_tags("") == []
