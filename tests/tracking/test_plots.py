import math
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from polytag.data.label_table import LabelTable
from polytag.inference.scoring import Result
from polytag.metrics.per_class import ClassScore
from polytag.run_folder import RunFolder
from polytag.schedule.curves import OneCycle
from polytag.schedule.recipes import freeze_unfreeze
from polytag.tracking import plots
from polytag.tracking.picture_grid import resize_to
from polytag.tracking.style import shorten, shorten_path


def history_row(epoch, phase, size, frozen="", **values):
    row = {"epoch": epoch, "phase": phase, "image_size": size, "frozen": frozen, **values}
    return {name: str(value) for name, value in row.items()}


ROWS = [
    history_row(0, 0, 64, "early+late", **{"train/loss": 0.5, "val/loss": 0.4, "val/map": 0.3}),
    history_row(1, 1, 64, **{"train/loss": 0.4, "val/loss": 0.3, "val/map": 0.7}),
    history_row(2, 1, 64, **{"train/loss": 0.3, "val/loss": 0.35, "val/map": 0.6}),
    history_row(3, 2, 96, "early+late", **{"train/loss": 0.3, "val/loss": "nan", "val/map": ""}),
]
RECIPE = freeze_unfreeze([64, 96], ["frozen", "unfrozen"], 0.004, OneCycle(), epochs=[1, 2])


def result_of(tmp_path, sizes, classes, targets, probabilities):
    for number, (width, height) in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    names = np.array([f"{number}.png" for number in range(len(sizes))])
    paths = np.array([str(tmp_path / name) for name in names])
    table = LabelTable(paths, names, classes, np.array(targets, np.int8), np.array(["val"] * len(sizes)))
    probabilities = np.array(probabilities, np.float32)
    return Result(table, probabilities, probabilities > 0.5, {}, None, {}, ())


def is_picture(path):
    with Image.open(path) as image:
        return image.format == "PNG" and image.convert("RGB").getcolors(maxcolors=10) is None  # more than 10


def test_best_row_is_the_highest_or_lowest_and_skips_empty_cells():
    assert plots.best_row(ROWS, "val/map", "max") == 1
    assert plots.best_row(ROWS, "val/loss", "min") == 1
    assert plots.best_row(ROWS, "val/f2", "max") is None


@pytest.mark.parametrize("count", [1, 4])
def test_history_is_drawn(tmp_path, count):
    plots.plot_history(ROWS[:count], RECIPE, "val/map", "max", tmp_path / "plots" / "history.png")

    assert is_picture(tmp_path / "plots" / "history.png")


def test_history_shows_the_weights_in_training_beside_their_average(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    rows = [row | {"val_raw/loss": "0.5", "val_raw/map": "0.2"} for row in ROWS]

    plots.plot_history(rows, RECIPE, "val/map", "max", tmp_path / "history.png")

    losses, scores, _ = figures[0].axes
    drawn = {line.get_label(): list(line.get_ydata()) for axes in (losses, scores) for line in axes.lines}
    assert drawn["val_raw/map"] == [0.2] * 4
    assert drawn["val_raw/loss"] == [0.5] * 4
    assert drawn["val/map"][:3] == [0.3, 0.7, 0.6]


def test_history_without_any_score_is_drawn(tmp_path):
    rows = [history_row(0, 0, 64, **{"train/loss": 0.5})]

    plots.plot_history(rows, RECIPE, "val/map", "max", tmp_path / "history.png")

    assert is_picture(tmp_path / "history.png")


def test_predictions_take_images_of_any_shape_and_any_class_name(tmp_path, recwarn):
    classes = (r"$\frac", "a<b & c", "犬", "x" * 200)  # broken formula, markup, a letter the font lacks, a long one
    sizes = [(40, 10), (10, 40), (1, 300), (500, 400), (8, 8)]
    targets = [[1, 1, 1, 1]] * 3 + [[0, 0, 0, 0]] * 2
    result = result_of(tmp_path, sizes, classes, targets, [[0.9, 0.1, 0.9, 0.1]] * 5)

    plots.plot_predictions(result, tmp_path / "predictions.png")

    assert is_picture(tmp_path / "predictions.png")
    assert not recwarn.list


def test_predictions_grow_with_the_number_of_images(tmp_path):
    result = result_of(tmp_path, [(20, 20)] * 9, ("a",), [[1]] * 9, [[0.9]] * 9)
    shapes = []
    for count in (1, 4, 8):
        plots.plot_predictions(result, tmp_path / "p.png", count=count)
        with Image.open(tmp_path / "p.png") as image:
            shapes.append(image.size)

    assert shapes[0][0] < shapes[1][0] == shapes[2][0]
    assert shapes[0][1] == shapes[1][1] < shapes[2][1]


@pytest.mark.parametrize("count", [1, 200])
def test_per_class_is_drawn_and_stays_of_a_size_for_many_classes(tmp_path, count):
    others = {field.name: 0 for field in fields(ClassScore)}
    rows = [
        {"name": rf"$\bad {i}", "support": i + 1, "chance": 0.1, "average_precision": i / count} for i in range(count)
    ]
    scores = [ClassScore(**(others | row)) for row in rows]
    undefined = replace(scores[0], name="none", support=0, average_precision=math.nan)

    plots.plot_per_class([*scores, undefined], tmp_path / "per_class.png")

    assert is_picture(tmp_path / "per_class.png")
    with Image.open(tmp_path / "per_class.png") as image:
        assert image.height <= 150 * (1.1 + 0.24 * 60) + 1


def test_a_run_without_training_or_labels_gets_the_pictures_it_can_have(tmp_path):
    folder = RunFolder(tmp_path / "run")
    plots.write_plots(folder, RECIPE, ("val/map", "max"), None)
    assert not folder.plots.exists()

    result = result_of(tmp_path, [(20, 20)] * 2, ("a",), [[0], [0]], [[0.9], [0.2]])
    plots.write_plots(folder, RECIPE, ("val/map", "max"), result)
    assert sorted(path.name for path in folder.plots.iterdir()) == ["predictions.png"]


def test_a_picture_that_cannot_be_made_is_a_warning_and_the_others_are_made(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("no font")

    monkeypatch.setattr(plots, "plot_predictions", fail)
    result = result_of(tmp_path, [(20, 20)] * 2, ("a",), [[1], [0]], [[0.9], [0.2]])
    folder = RunFolder(tmp_path / "run")
    plots.write_plots(folder, RECIPE, ("val/map", "max"), result)

    assert [path.name for path in folder.plots.iterdir()] == ["per_class.png"]
    assert caplog.messages == ["plots/predictions.png is left out. (ValueError: no font)"]


def test_paths_keep_their_end():
    assert shorten_path("a/b.jpg", 7) == "a/b.jpg"
    assert shorten_path("photos/b.jpg", 7) == "…/b.jpg"


def test_long_names_end_in_an_ellipsis():
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


def test_images_keep_their_shape_when_they_are_resized():
    assert resize_to(np.zeros((100, 50, 3), np.uint8), 40).shape == (40, 20, 3)
    assert resize_to(np.zeros((10, 20, 3), np.uint8), 40).shape == (20, 40, 3)
    assert resize_to(np.zeros((1, 900, 3), np.uint8), 40).shape == (1, 40, 3)
