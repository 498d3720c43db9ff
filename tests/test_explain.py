"""`explain`: pictures of where a run sees its labels."""

import numpy as np
import pytest
from PIL import Image

from polytag import explain
from polytag.inference.loaded_run import load_run
from polytag.tracking import activation_plot
from polytag.tracking.activation_plot import Overlay, plot_overlays

PROBABILITIES, DECISIONS = np.array([0.2, 0.9, 0.6, 0.1], np.float32), np.array([False, True, True, False])


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "my photos"
    (folder / "holiday").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.jpg")
    Image.fromarray(pixels[:, :, 0]).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "holiday" / "b & ü.png")
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """Note what would be drawn, by the name of the file."""
    seen = {}

    def note(pixels, overlays, path):
        assert all(overlay.pixels.shape == pixels.shape for overlay in overlays)
        seen[path.name] = overlays

    monkeypatch.setattr(activation_plot, "plot_overlays", note)
    return seen


def test_a_folder_becomes_a_picture_an_image(call, finished_run, photos):
    done = call("explain", f"run={finished_run}", f"source='{photos}'", "out=seen", "device=cpu")
    assert done.code == 0, done.err
    files = ["seen/a.jpg.png", "seen/a.png.png", "seen/holiday/b & ü.png.png"]
    assert done.out.splitlines() == [*files, "3 images explained: seen"]
    for file in files:
        with Image.open(file) as image:
            assert image.format == "PNG" and image.width > 300


def test_the_labels_that_are_asked_for_are_shown(call, finished_run, photos, drawn):
    run, source = f"run={finished_run}", f"source='{photos / 'a.jpg'}'"
    assert call("explain", run, source, "out=x", "labels=[cheese,apple]").code == 0
    assert [overlay.name for overlay in drawn["a.jpg.png"]] == ["cheese", "apple"]
    assert call("explain", run, source, "out=x", "top_k=3").code == 0
    shown = drawn["a.jpg.png"]
    assert {overlay.name for overlay in shown} == {"apple", "bread", "cheese"}
    assert [overlay.probability for overlay in shown] == sorted((o.probability for o in shown), reverse=True)


def test_a_seeded_part_of_many_images(call, finished_run, photos, drawn):
    done = call("explain", f"run={finished_run}", f"source='{photos}'", "out=x", "limit=1")
    assert len(drawn) == 1
    assert done.out.splitlines()[-1] == "1 image of 3 (limit=1, seed=0) explained: x"


def test_images_without_a_predicted_label_are_told(call, finished_run, photos, drawn, monkeypatch):
    monkeypatch.setattr(type(load_run(finished_run).policy), "decide", lambda self, probabilities: probabilities > 2)
    lines = call("explain", f"run={finished_run}", f"source='{photos}'", "out=x").out.splitlines()
    assert lines[-2] == "No label is predicted for 3 of them: there the likeliest one is shown."
    assert [len(overlays) for overlays in drawn.values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("decisions", "top_k", "expected"),
    [(DECISIONS, None, [1, 2]), (~DECISIONS, None, [0, 3]), (DECISIONS & False, None, [1]), (DECISIONS, 3, [1, 2, 0])],
)
def test_predicted_labels_or_the_likeliest(decisions, top_k, expected):
    assert explain.shown_labels(PROBABILITIES, decisions, top_k) == expected


def test_numbers_may_be_names_of_labels():
    assert explain.label_numbers([3, "1"], ("1", "2", "3")) == [2, 0]
    assert explain.label_numbers(2, ("1", "2", "3")) == [1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["source=there/a.jpg"], "run is not set"),
        (["run=RUN"], "source is not set"),
        (["run=nowhere", "source=there/a.jpg"], "There is no run folder nowhere"),
        (["run=RUN", "source=nowhere"], "source=nowhere is no folder and no image"),
        (["run=RUN", "source=list.csv"], "source=list.csv is no folder and no image"),
        (["run=RUN", "source=broken.jpg"], "1 of 1 image is broken below .: broken.jpg"),
        (["run=RUN", "source=empty"], "empty holds no image"),
        (["run=RUN", "source=there", "labels=[chese]"], "no label 'chese'. Did you mean 'cheese'? It has apple, "),
        (["run=RUN", "source=there", "labels=[]"], "names no label"),
        (["run=RUN", "source=there", "labels=apple", "top_k=1"], "exclude each other"),
        (["run=RUN", "source=there", "top_k=0"], "top_k=0 is no number from 1 on"),
        (["run=RUN", "source=there", "limit=many"], "limit=many is no number from 1 on"),
    ],
)
def test_mistakes_are_one_line(call, finished_run, photos, tmp_path, arguments, message):
    photos.rename(tmp_path / "there")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("image\na.jpg\n")
    done = call("explain", *(argument.replace("RUN", str(finished_run)) for argument in arguments))
    assert done.code == 2
    assert message in done.err and len(done.err.splitlines()) == 1


def test_any_shape_and_any_name_is_drawn(tmp_path, recwarn):
    for height, width in ((30, 300), (300, 30), (50, 50)):
        pixels = np.zeros((height, width, 3), np.uint8)
        overlays = [Overlay(name, 0.5, True, pixels) for name in (r"$\frac", "犬", "x" * 99, "a", "b")]
        plot_overlays(pixels, overlays, tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as image:
            assert image.width < 3000
    assert not recwarn.list
