"""Labels from sub-folders."""

import logging
import shutil
from pathlib import Path

import pytest
from fake.folder import CLASSES, make_folder
from fake.images import draw, write_image

from polytag.data.files import require_files
from polytag.data.folder import read_folder
from polytag.errors import UserError


def put(root: Path, *files: str) -> None:
    """Write an image of its own content at each place; files that end in the same word share it."""
    for file in files:
        content = sum(map(ord, Path(file).stem.split("_")[-1]))
        write_image(root / file, draw([], CLASSES, seed=content))


def labels_of(root: Path) -> dict[str, list[str]]:
    table = read_folder(str(root))
    return {
        str(name): [label for label, has in zip(table.classes, row, strict=True) if has]
        for name, row in zip(table.names, table.targets, strict=True)
    }


def test_copies_in_several_folders_carry_all_labels(tmp_path: Path) -> None:
    labels = make_folder(tmp_path, rows=10)
    table = require_files(read_folder(str(tmp_path)))
    assert table.classes == CLASSES and len(table) == 10
    found = {Path(name).stem: row for name, row in zip(table.names.tolist(), table.targets.tolist(), strict=True)}
    assert found == {str(row): [int(name in has) for name in CLASSES] for row, has in enumerate(labels)}
    assert set(table.split) == {""}
    assert read_folder(str(tmp_path), classes=["mouse", "dog", "cat", "owl"]).classes == ("mouse", "dog", "cat", "owl")


def test_same_name_with_other_content_is_another_image_and_same_content_is_one(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.png", "cat/deep/2.png", "dog/copy_2.png", "none/3.png")
    write_image(tmp_path / "dog" / "1.png", draw(["cat"], CLASSES, seed=99))
    assert labels_of(tmp_path) == {
        "cat/1.png": ["cat"],
        "cat/deep/2.png": ["cat", "dog"],
        "dog/1.png": ["dog"],
        "none/3.png": [],
    }


def test_other_files_are_ignored(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "b.png", ".cache/c.png", "cat/.d.png", "cat/.trash/e.png")
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    assert labels_of(tmp_path) == {"cat/a.png": ["cat"]}


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_split_folders(tmp_path: Path, val: str) -> None:
    put(tmp_path, "train/cat/a.png", "train/none/b.png", f"{val}/dog/c.png", "test/cat/d.png")
    table = read_folder(str(tmp_path))
    assert table.classes == ("cat", "dog")
    assert table.names.tolist() == ["test/cat/d.png", "train/cat/a.png", "train/none/b.png", f"{val}/dog/c.png"]
    assert table.split.tolist() == ["test", "train", "train", "val"]


def test_train_beside_other_folders_is_a_label(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png", "bus/b.png")
    assert labels_of(tmp_path) == {"bus/b.png": ["bus"], "train/a.png": ["train"]}


def test_the_same_image_in_two_splits_stays_two_rows_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "train/cat/a.png", "val/cat/a.png")
    with caplog.at_level(logging.WARNING):
        assert len(read_folder(str(tmp_path))) == 2
    assert "1 images lie in more than one of train, val and test" in caplog.text


def test_empty_files_are_not_taken_for_the_same_image(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png")
    for place in ("cat/x.png", "dog/y.png", "none/z.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    table = read_folder(str(tmp_path))
    assert len(table) == 4
    assert require_files(table, on_broken="drop").names.tolist() == ["cat/a.png"]


def test_none_and_a_label_contradict(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "none/a.png")
    with pytest.raises(UserError, match=r"none/a.png and cat/a.png"):
        read_folder(str(tmp_path))


def test_folders_without_images_explain_the_layout(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    (tmp_path / "cat").mkdir()
    with pytest.raises(UserError, match=r"no sub-folder with images.*<root>/<label>/image.jpg"):
        read_folder(str(tmp_path))
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        read_folder(str(tmp_path / "nowhere"))


def test_a_link_to_a_label_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/a.png", "root/dog/b.png")
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere")
    assert labels_of(tmp_path / "root") == {"cat/a.png": ["cat"], "dog/b.png": ["dog"]}
    shutil.rmtree(tmp_path / "elsewhere")
