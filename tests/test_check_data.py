"""`check-data` on a folder with one of every fault."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console

from polytag import build, check_data
from polytag.check_data import Problem, check, print_report, run, write_problems
from polytag.data.label_table import make_table
from polytag.errors import UserError


def jpeg(color, size=(64, 48), **options):
    """Return the bytes of a noisy image, different for every color."""
    noise = np.random.default_rng(color).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", **options)
    return buffer.getvalue()


FILES = {
    "good.jpg": (jpeg(1), "cat"),
    "good2.jpg": (jpeg(2), "dog cat"),
    "same.jpg": (jpeg(1), "cat"),
    "other_labels.jpg": (jpeg(1), "dog"),
    "cut.jpg": (jpeg(3)[:-600], "cat"),
    "empty.jpg": (b"", "cat"),
    "empty2.jpg": (b"", "dog"),
    "text.jpg": (b"<html>404 Not Found</html>" * 9, "dog"),
    "missing.jpg": (None, "dog"),
    "tiny.jpg": (jpeg(4, (64, 20)), ""),
}


def write_table(folder, files):
    for name, (content, _) in files.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return make_table(folder, list(files), [labels.split() for _, labels in files.values()])


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return write_table(folder, FILES)


def test_every_fault_is_found_once(table):
    report = check(table, workers=2)
    assert [(p.image, p.problem) for p in report.problems] == [
        ("cut.jpg", "broken"),
        ("empty.jpg", "broken"),
        ("empty2.jpg", "broken"),
        ("text.jpg", "broken"),
        ("missing.jpg", "missing"),
        ("tiny.jpg", "mis-sized"),
        ("same.jpg", "duplicate"),
        ("other_labels.jpg", "conflicting labels"),
    ]
    details = {p.image: p.detail for p in report.problems}
    assert details["empty.jpg"] == "the file is empty"
    assert details["tiny.jpg"] == "64x20: a side is shorter than 32 pixels"
    assert details["same.jpg"] == "same content as good.jpg"
    assert details["other_labels.jpg"] == "same content as good.jpg, but labelled dog and not cat"
    assert report.sizes == {(64, 48): 4, (64, 20): 1}
    assert report.has_unreadable


def test_the_number_of_workers_changes_nothing(table):
    assert check(table, workers=0) == replace(check(table, workers=5), table=table)


def test_one_size_is_the_rule_from_95_percent_on(tmp_path):
    files = {f"{i}.jpg": (jpeg(i), "a") for i in range(19)} | {"odd.jpg": (jpeg(99, (48, 64)), "a")}
    table = write_table(tmp_path, files)
    report = check(table)
    assert report.problems == (Problem("odd.jpg", "mis-sized", "48x64: nearly all others are 64x48"),)
    assert not report.has_unreadable
    assert check(table.rows(np.arange(1, 20))).problems == ()  # 18 of 19 are 94.7 %


def test_a_turned_photograph_counts_as_it_is_shown(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    table = write_table(tmp_path, {"turned.jpg": (jpeg(1, (64, 48), exif=turned), "a")})
    assert check(table).sizes == {(48, 64): 1}


def test_a_file_listed_twice_and_a_leak_between_splits(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "b.jpg").write_bytes(jpeg(1))
    table = make_table(tmp_path, ["a.jpg", "a.jpg", "b.jpg"], [["x"]] * 3, split=["train", "train", "val"])
    assert [p.detail for p in check(table).problems] == [
        "listed more than once",
        "same content as a.jpg, there in train and here in val",
    ]


def printed(report, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_printed_report(table):
    lines = printed(check(table))
    assert "Problems in 10 images" in lines
    assert "broken 4 cut.jpg" in lines
    assert "conflicting labels 1 other_labels.jpg" in lines
    assert "cat 5 50.0%" in lines
    assert "0 1 10.0%" in lines
    assert "1 cat 5 1" in lines and "2 dog 1 5" in lines
    assert "64 x 48 4" in lines


def test_what_is_unknown_is_counted_and_named(tmp_path):
    for name, color in {"a.jpg": 1, "b.jpg": 1, "c.jpg": 2, "d.jpg": 3}.items():
        (tmp_path / name).write_bytes(jpeg(color))
    labels, unknown = [["cat"], ["cat"], ["dog"], []], [["dog"], [], ["cat", "emu"], ["emu"]]
    table = make_table(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], labels, unknown=unknown)
    report = check(table)
    assert [p.detail for p in report.problems] == ["same content as a.jpg, but labelled cat and not cat dog?"]
    lines = printed(report)
    assert "label images share unknown" in lines
    assert "cat 2 66.7% 1" in lines  # of the three images of which it is known
    assert "dog 1 33.3% 1" in lines and "emu 0 0.0% 2" in lines
    assert "0 1 25.0%" in lines and "1 3 75.0%" in lines  # labels an image
    known = make_table(tmp_path, ["a.jpg", "c.jpg"], [["cat"], ["dog"]])
    assert "label images share" in printed(check(known))


def test_a_wide_matrix_becomes_pairs_and_markup_stays_text(tmp_path):
    names = [f"[red]{i:02d}" for i in range(21)]
    table = make_table(tmp_path, ["a", "b"], [names, names[:2]])
    lines = printed(check(table))
    assert "images with both labels: the 20 most frequent pairs" in lines
    assert "[red]00 [red]01 2" in lines


def test_no_readable_image_at_all(tmp_path):
    report = check(make_table(tmp_path, ["a.jpg"], [["x"]]))
    assert [p.problem for p in report.problems] == ["missing"]
    assert "missing 1 a.jpg" in printed(report)


def test_the_csv_file(table, tmp_path):
    out = tmp_path / "new" / "problems.csv"
    write_problems(check(table), out)
    with open(out, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["image", "problem", "detail"]
    assert len(rows) == 9
    assert rows[7] == ["same.jpg", "duplicate", "same content as good.jpg"]


def config(out, overwrite=False):
    return OmegaConf.create({"data": {}, "out": out, "overwrite": overwrite, "workers": 1})


def test_the_command_tells_by_its_exit_code(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "build_source", lambda data: table)
    out = str(tmp_path / "problems.csv")
    assert run(config(out)) == 2
    assert "cut.jpg" in capsys.readouterr().out
    monkeypatch.setattr(build, "build_source", lambda data: table.rows(np.array([0, 1])))
    with pytest.raises(UserError, match="overwrite=true"):
        run(config(out))
    assert run(config(out, overwrite=True)) == 0
    with open(out, encoding="utf-8") as file:
        assert file.read().splitlines() == ["image,problem,detail"]
    assert run(config(None)) == 0


def test_the_command_is_there():
    assert callable(check_data.main)
