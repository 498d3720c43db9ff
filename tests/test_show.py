"""`show`: what is printed and drawn of a source before any training."""

import numpy as np
import pytest
from conftest import TINY
from fake.csv import write_csv
from fake.images import draw, write_image
from PIL import Image

from polytag.data.label_table import LabelTable
from polytag.data.transforms import SideOn
from polytag.errors import UserError
from polytag.show import chosen_row
from polytag.tracking import augmentation_plot, console, picture_grid
from polytag.tracking.picture_grid import brighten

PICTURES = ("grid.png", "augmentations.png", "counts.png", "co_occurrence.png")


@pytest.fixture
def labelled(tmp_path):
    """Six images: with two labels, one and none, and some of which one label is unknown."""
    root = tmp_path / "data"
    cells = ["1,1,0", "0,1,0", "0,0,0", "0,-1,1", "0,,0", "1,0,0"]
    write_csv(root, ["image,cat,dog,owl", *(f"{row}.png,{cell}" for row, cell in enumerate(cells))])
    for row in range(len(cells)):
        write_image(root / f"{row}.png", draw([], ("cat",), seed=row))
    return ["data=csv", f"data.root={root}", "data.label_column=null", "data.val_fraction=0.4"]


@pytest.fixture
def views(monkeypatch):
    """Note the augmentations that would be drawn."""
    seen = {}
    monkeypatch.setattr(
        augmentation_plot, "plot_augmentations", lambda fixed, views, title, path: seen.update(locals())
    )
    return seen


def words(line):
    return line.split()


def test_the_head_of_the_table_says_names_and_marks(call, labelled):
    done = call("show", *labelled, "rows=5", "out=here")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    start = next(i for i, line in enumerate(lines) if words(line)[:1] == ["row"])
    assert words(lines[start]) == ["row", "image", "split", "labels", "cat", "dog", "owl"]
    rows = [[word for word in words(line) if word not in ("train", "val")] for line in lines[start + 2 : start + 7]]
    assert rows == [
        ["0", "0.png", "cat,", "dog", "1", "1", "0"],
        ["1", "1.png", "dog", "0", "1", "0"],
        ["2", "2.png", "none", "0", "0", "0"],
        ["3", "3.png", "owl,", "?dog", "0", "?", "1"],
        ["4", "4.png", "?dog", "0", "?", "0"],
    ]
    assert not any("5.png" in line for line in lines[: start + 8])


def test_four_pictures_are_written_and_named_without_any_weights(call, labelled, tmp_path):
    done = call("show", *labelled, "out=here", "model.weights=/nowhere.pth")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-4:] == [str(tmp_path / "here" / name) for name in PICTURES]
    for name in PICTURES:
        with Image.open(tmp_path / "here" / name) as image:
            assert image.convert("L").getextrema() != (255, 255)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(PICTURES)


def test_classes_too_many_for_the_width_stand_in_one_column(capsys):
    names = tuple(f"a long name {i}" for i in range(20))
    targets = np.eye(2, 20, dtype=np.int8)
    targets[1, 19] = -1
    table = LabelTable(np.array(["a", "b"]), np.array(["a", "b"]), names, targets, np.array(["train", ""]))
    console.print_head(table, 9)
    lines = capsys.readouterr().out.splitlines()
    assert "the 20 classes in order" in lines[2]
    assert words(lines[4])[-1] == "1" + 19 * "0"
    assert words(lines[5])[-1] == "01" + 17 * "0" + "?"


@pytest.mark.parametrize(("phase", "size"), [(1, 32), (2, 48), (None, 48)])
def test_sixteen_different_views_at_the_size_of_a_phase(call, csv_data, views, phase, size):
    options = [*TINY, "transforms=side_on", "recipe.image_sizes=[32,48]", "image=3.png"]
    chosen = "phase=null" if phase is None else f"phase={phase}"
    done = call("show", *options, "data=csv", f"data.root={csv_data}", chosen, "out=here")
    assert done.code == 0, done.err
    assert len({view.tobytes() for view in views["views"]}) == len(views["views"]) == 16
    assert {view.shape for view in views["views"]} == {(size, size, 3)} == {views["fixed"].shape}
    assert views["title"].startswith("3.png ") and f"{size} px" in views["title"]


def test_views_are_the_chosen_transforms_of_the_image(call, csv_data, views):
    arguments = [*TINY, "data=csv", f"data.root={csv_data}", "recipe.image_sizes=[32]", "image=7.png", "out=here"]
    assert call("show", *arguments).code == 0  # transforms=none
    assert all((view == views["fixed"]).all() for view in views["views"])
    with Image.open(csv_data / "7.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    plain = SideOn(presize=None).evaluation(32)(pixels)
    assert np.abs(plain.astype(int) - views["fixed"]).mean() < 8  # but for the presize


def test_brightness_is_a_factor_that_ends_at_white(call, labelled, views, monkeypatch):
    assert brighten(np.array([[[0, 100, 200]]], np.uint8), 1.5).tolist() == [[[0, 150, 255]]]
    shown = {}
    monkeypatch.setattr(picture_grid, "brighten", lambda pixels, factor: shown.setdefault(factor, pixels))
    assert call("show", *labelled, "brightness=1.5", "out=here").code == 0
    assert list(shown) == [1.5]


def test_the_grid_names_each_image_above_its_labels(labelled, call, monkeypatch):
    drawn = {}
    monkeypatch.setattr(picture_grid, "draw_grid", lambda images, names, legend, columns: drawn.update(names=names))
    monkeypatch.setattr(picture_grid, "save", lambda figure, path: None)
    assert call("show", *labelled, "images=6", "out=here").code == 0
    assert drawn["names"][0] == [("0.png", "file"), ("cat", "right"), ("dog", "right")]
    assert drawn["names"][2] == [("2.png", "file"), ("none", "right")]


def test_a_name_has_a_line_of_its_own_and_a_long_one_its_end(monkeypatch):
    written = []
    monkeypatch.setattr(picture_grid, "_write", lambda figure, x, y, text, kind: written.append((text, kind, y)))
    pixels = np.zeros((20, 20, 3), np.uint8)
    picture_grid.draw_grid([pixels], [[("a/folder/with/a/long/name/1.jpg", "file"), ("cat", "right")]], [])
    (name, _, above), (_, _, below) = written
    assert name == "…er/with/a/long/name/1.jpg" and above > below


def test_an_image_by_its_name_before_its_row():
    class Table:
        names = np.array(["2", "0", "c"])

        def __len__(self):
            return 3

    assert chosen_row(Table(), "c", 0) == 2
    assert chosen_row(Table(), 2, 0) == 0
    assert chosen_row(Table(), 1, 0) == 1
    assert {chosen_row(Table(), None, seed) for seed in range(20)} == {0, 1, 2}
    with pytest.raises(UserError, match="image=3 is neither a name in the data nor a row from 0 to 2"):
        chosen_row(Table(), 3, 0)
    with pytest.raises(UserError, match=r"data\.limit=3 leaves out all others\.$"):
        chosen_row(Table(), "d", 0, limit=3)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("rows=-1", "rows=-1 is no number from 0 on"),
        ("images=0", "images=0 is no number from 1 on"),
        ("brightness=0", "brightness=0 is no number above 0"),
        ("phase=4", "phase=4 is not in the recipe: it has 0 to 3"),
        ("image=1.jpg", "image=1.jpg is neither a name in the data nor a row from 0 to 5. Did you mean '1.png'?"),
        ("data.on_mising=drop", "data.on_mising"),
    ],
)
def test_mistakes_are_one_line(call, labelled, argument, message):
    done = call("show", *labelled, argument)
    assert done.code != 0
    assert message in done.err


@pytest.mark.parametrize(("content", "state"), [(None, "missing"), (b"no image", "broken")])
def test_an_image_that_is_not_there_or_not_whole_is_one_error(call, labelled, tmp_path, content, state):
    (tmp_path / "data" / "2.png").unlink()
    if content is not None:
        (tmp_path / "data" / "2.png").write_bytes(content)
    done = call("show", *labelled, "out=here")
    assert done.code == 2
    assert f"1 of 6 images is {state}" in done.err and len(done.err.splitlines()) == 1
    done = call("show", *labelled, "out=here", f"data.on_{state}=drop")
    assert done.code == 0
