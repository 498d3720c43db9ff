"""PASCAL in both layouts."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest
from fake.archives import content_of, make_tgz
from fake.pascal import CLASSES, make_fastai, make_voc
from fake.server import serve

from polytag.data import pascal
from polytag.data.files import require_files
from polytag.data.pascal import read_pascal
from polytag.errors import UserError

OBJECTS = {
    "a": [("cat", 0), ("cat", 1), ("bus", 1)],  # bus is difficult only
    "b": [("cat", 0), ("person", 0)],
    "c": [("car", 1)],
    "d": [],
}
LISTS = {"train": ["a", "b"], "val": ["c"], "test": ["d"], "trainval": ["a", "b", "c"]}


def labels_of(root: Path, **options: str) -> dict[str, set[str]]:
    table = require_files(read_pascal(str(root), layout="voc", **options))  # type: ignore[arg-type]
    return {
        str(name): {label for label, has in zip(table.classes, row, strict=True) if has}
        for name, row in zip(table.names, table.positives, strict=True)
    }


def test_fastai_layout(tmp_path: Path) -> None:
    labels = make_fastai(tmp_path, rows=12)
    table = require_files(read_pascal(str(tmp_path)))
    assert table.classes == CLASSES
    assert [[name for name, has in zip(CLASSES, row, strict=True) if has] for row in table.targets] == labels
    assert table.split.tolist() == ["train", "train", "train", "val"] * 3
    assert table.paths[0] == str(tmp_path / "train" / "000000.jpg")
    assert read_pascal(str(tmp_path), classes=["train", "person", "cat", "car", "bus", "dog"]).targets.shape == (12, 6)


@pytest.mark.parametrize(
    ("difficult", "expected"),
    [
        ("unknown", {"a.jpg": {"cat"}, "b.jpg": {"cat", "person"}, "c.jpg": set(), "d.jpg": set()}),
        ("ignore", {"a.jpg": {"cat"}, "b.jpg": {"cat", "person"}, "c.jpg": set(), "d.jpg": set()}),
        ("count", {"a.jpg": {"cat", "bus"}, "b.jpg": {"cat", "person"}, "c.jpg": {"car"}, "d.jpg": set()}),
        ("drop", {"b.jpg": {"cat", "person"}, "d.jpg": set()}),
    ],
)
def test_difficult_objects(tmp_path: Path, difficult: str, expected: dict[str, set[str]]) -> None:
    make_voc(tmp_path, OBJECTS, LISTS)
    assert labels_of(tmp_path, difficult=difficult) == expected  # and a part's name, head, is no label


def test_what_only_difficult_objects_give_is_unknown_unless_said_otherwise(tmp_path: Path) -> None:
    make_voc(tmp_path, OBJECTS, LISTS)
    table = read_pascal(str(tmp_path), layout="voc")
    assert table.classes == ("bus", "car", "cat", "person")
    assert dict(zip(table.names.tolist(), table.targets.tolist(), strict=True)) == {
        "a.jpg": [-1, 0, 1, 0],  # a difficult cat beside one that is easy to see changes nothing
        "b.jpg": [0, 0, 1, 1],
        "c.jpg": [0, -1, 0, 0],
        "d.jpg": [0, 0, 0, 0],
    }
    ignored = read_pascal(str(tmp_path), layout="voc", difficult="ignore")
    assert ignored.classes == ("cat", "person")  # what no image has is no class, unless data.classes says so


@pytest.mark.parametrize("below", ["", "VOC2007", "VOCdevkit/VOC2007"])
def test_voc_splits_wherever_the_folder_is(tmp_path: Path, below: str) -> None:
    make_voc(tmp_path / below, OBJECTS, LISTS)
    table = read_pascal(str(tmp_path), layout="voc")
    found = dict(zip(table.names.tolist(), table.split.tolist(), strict=True))
    assert found == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "val", "d.jpg": "test"}


def test_voc_with_trainval_only_leaves_the_split_open(tmp_path: Path) -> None:
    make_voc(tmp_path, OBJECTS, {"trainval": ["a", "b"], "test": ["d"]})
    table = read_pascal(str(tmp_path), layout="voc")
    assert dict(zip(table.names.tolist(), table.split.tolist(), strict=True)) == {
        "a.jpg": "",
        "b.jpg": "",
        "d.jpg": "test",
    }


def test_test_images_without_annotation_are_left_out(tmp_path: Path) -> None:
    make_voc(tmp_path, OBJECTS, LISTS | {"test": ["hidden"]})
    assert read_pascal(str(tmp_path), layout="voc").names.tolist() == ["a.jpg", "b.jpg", "c.jpg"]


def test_images_may_be_png_and_are_named_when_missing(tmp_path: Path) -> None:
    make_voc(tmp_path, OBJECTS, LISTS)
    (tmp_path / "JPEGImages" / "a.jpg").rename(tmp_path / "JPEGImages" / "a.png")
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    table = read_pascal(str(tmp_path), layout="voc")
    assert table.names.tolist()[:2] == ["a.png", "b.jpg"]
    with pytest.raises(UserError, match=r"1 of 4 images is missing .*: b.jpg\."):
        require_files(table)


@pytest.mark.parametrize("lists", [{"train": ["a"], "val": ["a"]}, {"trainval": ["a"], "test": ["a"]}])
def test_an_image_in_two_splits_is_refused(tmp_path: Path, lists: dict[str, list[str]]) -> None:
    make_voc(tmp_path, OBJECTS, lists)
    with pytest.raises(UserError, match=r"lists a.jpg twice"):
        read_pascal(str(tmp_path), layout="voc")


def test_bad_voc_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*VOCdevkit/VOC2007"):
        read_pascal(str(tmp_path / "nowhere"), layout="voc")
    make_voc(tmp_path, OBJECTS, {})
    with pytest.raises(UserError, match=r"lists no image in train\.txt"):
        read_pascal(str(tmp_path), layout="voc")
    make_voc(tmp_path, OBJECTS, {"train": ["a", "z"]})
    with pytest.raises(UserError, match=r"lists z, but there is no .*z.xml"):
        read_pascal(str(tmp_path), layout="voc")
    (tmp_path / "Annotations" / "z.xml").write_text("<annotation><object><name> </name></object></annotation>")
    with pytest.raises(UserError, match=r"z.xml has an object without a name \(number 1\)"):
        read_pascal(str(tmp_path), layout="voc")
    (tmp_path / "Annotations" / "z.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"z.xml is not valid XML"):
        read_pascal(str(tmp_path), layout="voc")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "coco"}, ["data.layout=coco", "fastai or voc"]),
        ({"difficult": "ingore"}, ["data.difficult=ingore", "Did you mean 'ignore'?"]),
        ({"layout": "voc", "download": True}, ["data.download=true", "data.layout=fastai"]),
        ({}, ["train.csv", "data.download=true"]),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read_pascal(str(tmp_path), **options)  # type: ignore[arg-type]
    assert [word for word in words if word not in str(caught.value)] == []


def test_download_checks_the_stated_size_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_fastai(tmp_path / "published", rows=4)
    archive = make_tgz(content_of(tmp_path / "published", top="pascal_2007"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as site:
        site.files["/pascal_2007.tgz"] = archive
        monkeypatch.setattr(pascal, "URL", f"{site.address}/pascal_2007.tgz")
        with pytest.raises(UserError, match="its publisher states 1,637,796,771"):
            read_pascal(str(tmp_path / "here"), download=True)
        monkeypatch.setattr(pascal, "SIZE", len(archive))
        with pytest.raises(UserError, match="its publisher states 433b4706eb7c42bd74e7f784e3fdf244"):
            read_pascal(str(tmp_path / "here"), download=True)
        assert not (tmp_path / "here").exists()
        monkeypatch.setattr(pascal, "MD5_OF_FIRST_MIB", hashlib.md5(archive).hexdigest())
        assert len(require_files(read_pascal(str(tmp_path / "here"), download=True))) == 4


@pytest.mark.real_data
def test_real_labels() -> None:
    if "POLYTAG_REAL_DATA" not in os.environ:
        pytest.skip("POLYTAG_REAL_DATA is not set")
    root = os.environ["POLYTAG_REAL_DATA"]
    table = require_files(read_pascal(os.path.join(root, "pascal")))
    assert table.targets.shape == (1525, 5) and table.classes == CLASSES
    assert set(table.split) == {"train", "val"}
    cells = require_files(read_pascal(os.path.join(root, "bccd", "BCCD"), layout="voc"))
    assert cells.classes == ("Platelets", "RBC", "WBC") and len(cells) == 364
    assert Counter(cells.split.tolist()) == {"train": 205, "val": 87, "test": 72}
