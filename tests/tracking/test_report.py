import base64
import io
import logging
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from fake.report import CLASSES, NASTY, SUMMARY, add_history, make_result, reported, score_again
from PIL import Image
from sklearn.metrics import average_precision_score, fbeta_score, precision_score, recall_score

from polytag.data.label_table import LabelTable
from polytag.policy.cross_fit import Found
from polytag.policy.fixed import FixedPolicy
from polytag.tracking import report
from polytag.tracking.console import duration
from polytag.tracking.report import write_report
from polytag.tracking.report_pictures import picture_groups


class Page(HTMLParser):
    """What a browser sees: the elements, their attributes, the text; the cells of each table by its caption."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self.tables, self.open = [], [], {}, []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())
        if "caption" in self.open:
            self.tables[data] = self.rows
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] += " ".join(data.split())

    def images(self):
        return [attrs["href"] for tag, attrs in self.elements if tag == "image"]

    def named(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return make_result(tmp_path_factory.mktemp("images"), 30)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "my <run>"
    folder.mkdir()
    add_history(folder)
    return Page(write_report(reported(folder, {"val": result})))


def test_names_are_text_and_never_markup(page):
    assert page.html.count("<script>") == 1  # the page's own
    assert page.text.count(NASTY) >= 3  # notes, tag, class
    assert "<&>.png" in " ".join(page.text)
    assert any("my <run>" in text for text in page.text)


def test_the_command_line_is_there_without_secrets(result, tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/overrides.yaml").write_text("- data.root=my photos\n- logger.x.api_key=s3cret\n")
    page = Page(write_report(reported(tmp_path, {"val": result})))

    assert "train 'data.root=my photos' 'logger.x.api_key=(hidden)'" in page.text
    assert "s3cret" not in page.html


def test_the_page_needs_no_other_file(page):
    links = [v for _, attrs in page.elements for name, v in attrs.items() if name in ("src", "href", "xlink:href")]

    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not re.search(r"url\((?!#)|@import", page.html)


def test_scores_stand_beside_their_intervals_and_the_baselines(page, result):
    header, *rows = page.tables["Scores on the val images"]

    assert header == ["metric", "this run", "95 % interval", "predict nothing", "label frequency"]
    expected = average_precision_score(result.table.targets[:, :2], result.probabilities[:, :2], average="macro")
    assert rows[0][:2] == ["map", f"{expected:.4f}"]
    low, high = map(float, rows[0][2].split(" to "))
    assert 0 < low < expected < high <= 1
    chance = result.table.targets[:, :2].mean()
    assert rows[0][3:] == [f"{chance:.4f}", f"{chance:.4f}"]
    assert rows[1][3] == "0.0000"
    assert any("no image here is known to have them: c" in text for text in page.text)


def test_classes_are_listed_with_their_scores_the_best_first_and_undefined_ones_last(page, result):
    header, *rows = page.tables["Classes on the val images; the headings sort"]
    truth, given = result.table.targets, result.decisions
    values = [average_precision_score(truth[:, i], result.probabilities[:, i]) for i in range(2)]
    order = sorted(range(2), key=lambda i: -values[i])

    assert header[:4] == ["class", "images", "AP", "threshold"]
    for row, i in zip(rows, order, strict=False):
        numbers = [score_of(truth[:, i], given[:, i]) for score_of in (precision_score, recall_score)]
        numbers.append(fbeta_score(truth[:, i], given[:, i], beta=2))
        assert row[:4] == [CLASSES[i], str(truth[:, i].sum()), f"{values[i]:.3f}", "0.50"]
        assert row[4:7] == [f"{number:.3f}" for number in numbers]
        assert row[8] == str(((truth[:, i] == 1) & ~given[:, i]).sum())
    assert rows[2][:7] == ["c", "0", "-", "0.50", "0.000", "-", "-"]


def test_what_is_given_for_a_missed_label_is_counted(page, result):
    truth, given = result.table.targets, result.decisions
    missed = (truth[:, 1] == 1) & ~given[:, 1]
    counts = {CLASSES[i]: int((missed & given[:, i] & (truth[:, i] == 0)).sum()) for i in (0, 2)}
    (row,) = [row for row in page.tables["Classes on the val images; the headings sort"] if row[0] == "b"]
    expected = ", ".join(f"{name}\xa0({counts[name]})" for name in sorted(counts, key=lambda n: -counts[n]))

    assert min(counts.values()) > 0
    assert row[9].replace(" ", "") == expected.replace(" ", "").replace("\xa0", "")
    (matrix,) = [rows for caption, rows in page.tables.items() if caption.startswith("Given in place")]
    (line,) = [row for row in matrix if row[0] == "b"]
    assert line[1:] == [str(counts[NASTY]), "", str(counts["c"])]


def test_labels_that_are_true_together_are_counted(page, result):
    (matrix,) = [rows for caption, rows in page.tables.items() if caption.startswith("True together")]
    both = int((result.table.targets[:, 0] & result.table.targets[:, 1]).sum())

    assert matrix[1] == [NASTY, str(result.table.targets[:, 0].sum()), str(both)]  # c, which no image has, is left out


def test_errors_are_marked(page, result):
    added = int((result.decisions & (result.table.targets == 0))[:, 1].sum())
    spans = [attrs["class"] for attrs in page.named("span") if attrs.get("class") in ("added", "missed")]

    assert added
    assert {"+b", "−b", f"+{NASTY}"} <= set(page.text)
    assert len(spans) > 10


def test_each_group_of_images_is_there_and_an_image_only_once(page, result):
    headings = {"A random choice", "Most wrong of each class", "Most uncertain", "Without a predicted label"}
    links = [attrs["href"] for attrs in page.named("use") if attrs.get("href", "").startswith("#image-")]
    empty = int((~result.decisions.any(1)).sum())

    assert headings <= set(page.text)
    assert len(page.images()) == len(set(page.images())) < len(page.images()) + len(links)
    assert {link[1:] for link in links} <= {attrs.get("id") for attrs in page.named("image")}
    assert any(text.startswith(f"{empty} of 30 images were given no label") for text in page.text)
    # 12 at random, the surest wrong and (of the two classes that have images) missed one, 12 uncertain, the empty ones
    assert len(page.named("figure")) == 12 + 5 + 12 + min(12, empty)


def test_pictures_are_small_jpegs_with_words_for_those_who_do_not_see_them(page):
    for url in page.images():
        with Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))) as image:
            image.load()
            assert max(image.size) <= 200
    words = [attrs["aria-label"] for attrs in page.named("svg")]
    assert all(words)
    assert any(re.match("true: .*; predicted: ", text) for text in words)


def test_each_image_file_is_read_once(result, tmp_path, monkeypatch):
    read, reads = LabelTable.read, []
    monkeypatch.setattr(LabelTable, "read", lambda table, row: reads.append(int(row)) or read(table, row))
    write_report(reported(tmp_path, {"val": result}))

    assert len(reads) == len(set(reads)) > 12


def test_curves_of_the_training_and_of_the_classes_are_there(page):
    ids = {attrs.get("id", "") for _, attrs in page.elements}

    assert {"precision-line-0", "precision-line-1", "precision-line-2", "threshold-line-2"} <= ids
    assert "precision-line-3" not in ids  # the class without an image has no curve
    assert {"val/map", "train/loss", "64 px"} <= set(page.text)
    assert any("Expected calibration error" in text for text in page.text)


def test_config_shows_what_differs_from_the_defaults_and_the_whole(page):
    rows = page.tables["Settings that differ from the defaults"]

    assert ["seed", "3", "0"] in rows
    assert not [row for row in rows if row[0] == "monitor.metric"]
    assert any("backbone: resnet18" in text for text in page.text)


def test_time_is_told_by_part(page):
    assert page.tables["Time spent by part"][1:] == [
        ["training steps", "20.0 s", "32.5 %", ""],
        ["waiting for data", "10.0 s", "16.3 %", ""],
        ["validation", "5.0 s", "8.1 %", ""],
        ["everything else", "26.5 s", "43.1 %", ""],
    ]


def test_headings_are_in_order_and_tables_have_captions_and_scopes(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    targets = [attrs["href"][1:] for attrs in page.named("a")]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.tables) == len(page.named("table")) == 6
    assert all(attrs["scope"] in ("row", "col") for attrs in page.named("th"))
    assert len(targets) == 9
    assert set(targets) <= {attrs.get("id") for _, attrs in page.elements}


def test_80_classes_and_large_photographs_make_no_large_page(tmp_path):
    classes = tuple(f"class {number}" for number in range(80))
    result = make_result(tmp_path, 100, classes, side=600, files=3)  # noise: what compresses worst
    path = write_report(reported(tmp_path, {"val": result, "test": result}))

    assert path.stat().st_size < 5_000_000
    assert len(Page(path).named("figure")) <= 12 + 40 + 12 + 12


def test_a_run_without_validation_rows_has_a_page(tmp_path):
    page = Page(write_report(reported(tmp_path, {})))

    assert not page.images()
    assert set(page.tables) == {"Settings that differ from the defaults", "Time spent by part"}
    assert "Recipe" in page.text


def test_the_test_images_are_looked_at_where_there_are_no_validation_images(result, tmp_path):
    page = Page(write_report(reported(tmp_path, {"test": result})))

    assert "Classes on the test images; the headings sort" in page.tables
    assert page.images()


@pytest.mark.parametrize("value", [0, -1])
def test_images_without_any_known_label_have_a_page(result, tmp_path, value, caplog):
    table = replace(result.table, targets=np.full_like(result.table.targets, value))
    page = Page(write_report(reported(tmp_path, {"val": score_again(table, result.probabilities)})))

    assert not caplog.records
    assert "Thresholds" not in page.text
    assert ("Calibration" in page.text) == (value == 0)


def test_what_fails_is_left_out_with_a_warning(result, tmp_path, monkeypatch, caplog):
    def fail(_):
        raise ValueError("no font")

    monkeypatch.setattr(report, "recipe_figure", fail)
    with caplog.at_level(logging.WARNING):
        page = Page(write_report(reported(tmp_path, {"val": result})))

    assert "report.html lacks its curves of the training (ValueError: no font)." in caplog.text
    assert any(text.startswith("Left out") and "curves of the training" in text for text in page.text)
    assert "Scores" in page.text


def test_a_page_that_cannot_be_written_is_a_warning(result, tmp_path, caplog):
    (tmp_path / "report.html").mkdir()
    with caplog.at_level(logging.WARNING):
        assert write_report(reported(tmp_path, {})) is None
    assert "report.html is not written" in caplog.text


def test_an_image_that_is_gone_is_said_so(tmp_path, caplog):
    result = make_result(tmp_path, 12)
    (tmp_path / "5.png").unlink()
    with caplog.at_level(logging.WARNING):
        page = Page(write_report(reported(tmp_path, {"val": result})))

    assert "report.html lacks an image." in caplog.text
    assert "cannot be read" in page.text
    assert len(page.images()) == 11


def test_searched_thresholds_and_views_have_their_columns(result, tmp_path):
    searched = replace(result, optimistic={"map": 0.9, "f2": 0.8})
    summary = SUMMARY | {"val_tta": {"val_tta/map": 0.7, "val_tta/f2": 0.6}}
    found = Found(FixedPolicy(), {"verdict": "Keep them."})
    page = Page(write_report(reported(tmp_path, {"val": searched}, summary=summary, found=found)))
    header, first, *_ = page.tables["Scores on the val images"]

    assert header[3:5] == ["with TTA", "optimistic"]
    assert first[3:5] == ["0.7000", "0.9000"]
    assert any("Keep them." in text for text in page.text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (99.9, "99.9 s"), (166.2, "3 min"), (3 * 3600 + 300, "3 h 5 min")]
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_the_surest_mistakes_have_a_map_of_their_label(result, tmp_path):
    asked = []

    def overlays(pixels, labels):
        assert pixels.shape == (48, 48, 3)
        asked.append(list(labels))
        return [np.full((48, 48, 3), 10 * label, np.uint8) for label in labels]

    groups = picture_groups(result, overlays)
    notes = [picture.note for group in groups for picture in group.pictures if picture.seen_at]
    # No image has the last class, so it is not missed: there are five mistakes, fewer than the limit.
    assert sorted(label for labels in asked for label in labels) == [0, 0, 1, 1, 2]
    assert len(set(notes)) == 5 and all(" at 0." in note for note in notes)
    of_b = next(picture for group in groups for picture in group.pictures if picture.note.startswith("b given"))
    content = base64.b64decode(of_b.seen_at.url.split(",")[1])
    assert abs(np.asarray(Image.open(io.BytesIO(content))).astype(int) - 10).max() <= 2  # b is class 1
    assert not any(picture.seen_at for group in picture_groups(result) for picture in group.pictures)


def test_images_are_shown_where_no_map_can_be_drawn(result, caplog):
    def overlays(pixels, labels):
        raise RuntimeError("no places")

    groups = picture_groups(result, overlays)
    assert [(group.title, len(group.pictures)) for group in groups] == [
        (group.title, len(group.pictures)) for group in picture_groups(result)
    ]
    assert [record.message for record in caplog.records] == [
        "report.html does not show where the network sees labels. no places"
    ]
