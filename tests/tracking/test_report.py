import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from polytag.data.label_table import LabelTable
from polytag.inference.scoring import Result
from polytag.policy.cross_fit import Found
from polytag.policy.fixed import FixedPolicy
from polytag.run_folder import RunFolder
from polytag.tracking.plots import write_plots
from polytag.tracking.report import duration, write_report

NASTY = "<script>alert('&')</script>"
SUMMARY = {
    "monitor": {"metric": "val/map", "mode": "max", "best": None, "epoch": None},
    "seconds": {"total": 61.5},
    "images_per_second": None,
    "versions": {"torch": "2"},
    "git_commit": None,
}
CONFIG = OmegaConf.create(
    {
        "monitor": {"metric": "val/map", "mode": "max"},
        "tags": [NASTY, "second"],
        "notes": NASTY,
        "model": {"backbone": "resnet18"},
        "data": {"root": NASTY},
    }
)


class Page(HTMLParser):
    """What a browser sees: the elements, their attributes, the text."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())

    def images(self):
        return [attrs["src"] for tag, attrs in self.elements if tag == "img"]


def make_result(folder, count, side=48):
    names = np.array([f"{number}<&>.png" for number in range(count)])
    paths = np.array([str(folder / f"{number}.png") for number in range(count)])
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    targets = np.array([[1, 0, 0], [0, 1, 0]] * (count // 2), np.int8)
    probabilities = np.array([[0.9, 0.2, 0.1], [0.7, 0.4, 0.1]] * (count // 2), np.float32)
    table = LabelTable(paths, names, (NASTY, "b", "c"), targets, np.array(["val"] * count))
    scores = {"map": 0.75, "f2": float("nan")}
    return Result(
        table, probabilities, probabilities > 0.5, scores, None, {"predict nothing": {"map": 0.25, "f2": 0.0}}, ("c",)
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "my <run>")
    folder.path.mkdir()
    result = make_result(folder.path, 30)
    write_plots(folder, None, ("val/map", "max"), result)
    return Page(write_report(CONFIG, folder, {"val": result}, Found(FixedPolicy()), SUMMARY))


def test_names_are_text_and_never_markup(page):
    assert {tag for tag, _ in page.elements} & {"script", "b", "run"} == set()
    assert page.text.count(NASTY) >= 3  # notes, tag, class
    assert "0<&>.png" in " ".join(page.text) or "1<&>.png" in " ".join(page.text)
    assert any("my <run>" in text for text in page.text)


def test_the_page_needs_no_other_file(page):
    links = [value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href")]

    assert links
    assert all(link.startswith("data:image/") for link in links)


def test_pictures_are_whole_and_few(page):
    assert len(page.images()) == 24
    for url in page.images():
        with Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))) as image:
            image.load()
            assert max(image.size) <= 224


def test_scores_stand_beside_the_baselines(page):
    start = page.text.index("map")

    assert page.text[start : start + 6] == ["map", "0.7500", "0.2500", "f2", "-", "0.0000"]
    assert any("no image here is known to have them: c" in text for text in page.text)


def test_classes_are_listed_with_support_and_scores_the_best_first(page):
    # b: 15 of 30 images, always ranked above the others, never given; NASTY: given to all 30, ranked right.
    start = page.text.index("threshold")

    assert page.text[start + 1 : start + 7] == [NASTY, "15", "1.000", "0.500", "1.000", "0.50"]
    assert page.text[start + 7 : start + 13] == ["b", "15", "1.000", "-", "0.000", "0.50"]
    assert page.text[start + 13 : start + 19] == ["c", "0", "-", "-", "-", "0.50"]


def test_errors_are_marked(page):
    # Every second image carries NASTY and gets it; the others carry b and get NASTY.
    kinds = [
        attrs["class"] for tag, attrs in page.elements if tag == "span" and attrs.get("class") in ("added", "missed")
    ]

    assert {f"+{NASTY}", "−b"} <= set(page.text)
    assert kinds.count("added") > 5


def test_config_and_time_are_there(page):
    assert "61.5 s" in page.text
    assert any("backbone: resnet18" in text for text in page.text)


def test_page_knows_dark_mode_and_phones(page):
    style = next(text for text in page.text if "prefers-color-scheme: dark" in text)

    assert "max-width" in style
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.elements


def test_large_photographs_do_not_make_a_large_page(tmp_path):
    folder = RunFolder(tmp_path)
    result = make_result(tmp_path, 24, side=600)  # noise: what compresses worst

    assert write_report(CONFIG, folder, {"val": result}, Found(FixedPolicy()), SUMMARY).stat().st_size < 5_000_000


def test_a_run_without_validation_rows_has_a_page(tmp_path):
    page = Page(write_report(CONFIG, RunFolder(tmp_path), {}, Found(FixedPolicy()), SUMMARY))

    assert not page.images()
    assert not any(re.match("Scores on", text) for text in page.text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (99.9, "99.9 s"), (166.2, "3 min"), (3 * 3600 + 300, "3 h 5 min")]
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
