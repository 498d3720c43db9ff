"""Missing and broken files: found, named, dropped on request."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from fake.csv import CLASSES, make_csv
from fake.images import draw, write_image

from polytag.data.csv import read_csv
from polytag.data.files import list_images, require_files
from polytag.data.label_table import LabelTable, make_table
from polytag.errors import UserError


@pytest.fixture
def table(tmp_path: Path) -> LabelTable:
    make_csv(tmp_path, rows=10)
    return read_csv(str(tmp_path))


def test_all_there(table: LabelTable) -> None:
    assert require_files(table).names.tolist() == table.names.tolist()


def test_missing_files(table: LabelTable, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for row in range(2, 9):
        (tmp_path / f"{row}.png").unlink()
    with pytest.raises(UserError) as caught:
        require_files(table)
    assert str(caught.value) == (
        f"7 of 10 images are missing below {tmp_path}: 2.png, 3.png, 4.png, 5.png, 6.png, and 2 more. "
        "data.on_missing=drop goes on with the 3 that are there. Put the files there, or correct data.root."
    )
    with caplog.at_level(logging.WARNING):
        left = require_files(table, on_missing="drop")
    assert left.names.tolist() == ["0.png", "1.png", "9.png"]
    assert left.targets.tolist() == table.targets[[0, 1, 9]].tolist()
    assert "7 of 10" in caplog.text and "3 rows remain" in caplog.text


def test_broken_files(table: LabelTable, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "7.png").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        require_files(table)
    assert str(caught.value) == (
        f"2 of 10 images are broken below {tmp_path}: 3.png (image file is truncated), 7.png (the file is empty). "
        "data.on_broken=drop goes on with the 8 that are whole. Or replace them."
    )
    with caplog.at_level(logging.WARNING):
        assert "3.png" not in require_files(table, on_broken="drop").names
    assert "2 of 10 images are broken" in caplog.text


def test_a_missing_file_is_not_called_broken(table: LabelTable, tmp_path: Path) -> None:
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_bytes(b"")
    assert len(require_files(table, "drop", "drop")) == 8
    with pytest.raises(UserError, match="1 of 10 images is missing"):
        require_files(table, "error", "drop")
    with pytest.raises(UserError, match=r"1 of 9 images is broken .*: 1.png \(the file is empty\)"):
        require_files(table, "drop", "error")


def test_nothing_left_is_an_error_whatever_was_asked(table: LabelTable, tmp_path: Path) -> None:
    for row in range(10):
        (tmp_path / f"{row}.png").unlink()
    with pytest.raises(UserError, match="10 of 10 images are missing") as caught:
        require_files(table, on_missing="drop")
    assert "goes on" not in str(caught.value)


def test_a_missing_folder_counts_as_missing_files(tmp_path: Path) -> None:
    table = make_table(tmp_path / "nowhere", ["a.jpg"], [["cat"]], hint="Fetch them.")
    with pytest.raises(UserError, match=r"1 of 1 image is missing below .*nowhere: a.jpg\. Fetch them\."):
        require_files(table)


@pytest.mark.parametrize("option", ["on_missing", "on_broken"])
def test_bad_option(table: LabelTable, option: str) -> None:
    with pytest.raises(UserError, match=rf"data.{option}=dorp is not known: error or drop. Did you mean 'drop'\?"):
        require_files(table, **{option: "dorp"})


def test_absent_files_are_looked_up_at_one_listing_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Single questions for 40,000 files take seconds on a network disk."""
    write_image(tmp_path / "train_0.jpg", draw([], CLASSES))
    table = make_table(tmp_path, [f"train_{row}.jpg" for row in range(300)], [["clear"]] * 300)
    asked = []

    def noting(ask: Any) -> Any:
        def noted(path: Any = ".", *args: Any, **options: Any) -> Any:
            asked.append(str(path))
            return ask(path, *args, **options)

        return noted

    for name in ("listdir", "stat", "lstat"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    assert len(require_files(table, on_missing="drop")) == 1
    assert asked.count(str(tmp_path)) == 1
    assert not [path for path in asked if path.endswith("train_7.jpg")]


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c.png", "a.webp", ".hidden.png", ".cache/d.png", "__MACOSX/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "readme.md").touch()
    assert list_images(tmp_path) == ["a.webp", "a/c.png", "b.JPG"]
    with pytest.raises(UserError, match="no folder"):
        list_images(tmp_path / "nowhere")
