import math

import numpy as np
import pytest
from PIL import Image

from polytag.data.label_table import LabelTable
from polytag.inference.scoring import Result
from polytag.run_folder import RunFolder
from polytag.tracking.media import make_media

CLASSES = ("a", "b", "never")
TARGETS = [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, -1, 0]]
PROBABILITIES = [[0.1, 0.9, 0.1], [0.2, 0.8, 0.1], [0.9, 0.6, 0.1], [0.4, 0.7, 0.1]]


def result_of(folder, targets):
    folder.mkdir()
    for row in range(4):
        Image.fromarray(np.full((40 + 400 * (row == 2), 30, 3), 60 * row, np.uint8)).save(folder / f"{row}.png")
    names = np.array([f"{row}.png" for row in range(4)])
    paths = np.array([str(folder / name) for name in names])
    table = LabelTable(paths, names, CLASSES, np.array(targets, np.int8), np.array(["val"] * 4))
    probabilities = np.array(PROBABILITIES, np.float32)
    return Result(table, probabilities, probabilities > 0.5, {}, None, {}, ())


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    place = tmp_path_factory.mktemp("media")
    return make_media(
        RunFolder(place / "run"), result_of(place / "images", TARGETS), {"a": 0.5, "b": 0.5, "never": None}
    )


def columns(table, *names):
    return [tuple(row[table.columns.index(name)] for name in names) for row in table.rows]


def test_pictures_lie_in_the_run_folder(media):
    assert set(media.pictures) == {"error_pairs", "most_wrong", "precision_recall", "thresholds"}
    for name, path in media.pictures.items():
        assert path.parts[-3:] == ("run", "plots", f"{name}.png")
        with Image.open(path) as picture:
            assert picture.format == "PNG"


def test_each_class_has_its_scores_and_threshold(media):
    a, b, never = columns(media.tables["per_class"], "name", "support", "tp", "fp", "fn", "threshold")

    assert a == ("a", 2, 1, 0, 1, 0.5)
    assert b == ("b", 2, 2, 1, 0, 0.5)  # of the last image nobody knows
    assert never == ("never", 0, 0, 0, 0, None)


def test_curves_are_taken_at_a_grid(media):
    rows = [row for row in media.tables["thresholds"].rows if row[0] == "b" and row[1] == pytest.approx(0.75)]

    assert rows == [("b", pytest.approx(0.75), 0.5, 0.5, pytest.approx(0.5))]
    assert {row[0] for row in media.tables["thresholds"].rows} == {"all labels together", "a", "b"}


def test_pairs_of_errors_are_listed(media):
    assert media.tables["error_pairs"].rows == (("a", "b", 1),)


def test_the_most_wrong_image_comes_first_with_what_is_wrong(media):
    table = media.tables["most_wrong"]

    (first, *_), losses = columns(table, "file", "true", "predicted", "wrong", "p/b"), columns(table, "loss")
    assert first == ("0.png", "a", "b", "+b −a", pytest.approx(0.9))
    assert losses[0][0] == pytest.approx((math.log(1 / 0.1) + math.log(1 / 0.1) + math.log(1 / 0.9)) / 3, rel=1e-5)
    assert losses == sorted(losses, reverse=True)


def test_an_image_without_labels_says_none_and_large_ones_are_shrunk(media):
    table = media.tables["predictions"]

    assert columns(table, "file", "true", "predicted")[3] == ("3.png", "none", "b")
    shapes = [image.shape for (image,) in columns(table, "image")]
    assert shapes == [(40, 30, 3), (40, 30, 3), (192, 13, 3), (40, 30, 3)]


def test_a_run_without_labels_or_images_shows_what_it_has(tmp_path):
    result = result_of(tmp_path / "images", [[0, 0, 0]] * 4)
    media = make_media(RunFolder(tmp_path / "run"), result, {})

    assert set(media.pictures) == {"most_wrong"}
    assert set(media.tables) == {"per_class", "predictions", "most_wrong"}
    assert make_media(RunFolder(tmp_path / "other"), None, {}).tables == {}
