"""Planet: label file, chips of both kinds, and the real label file."""

import os
from pathlib import Path

import numpy as np
import pytest
from fake.images import draw
from fake.planet import CLASSES, make_planet

from polytag.data.files import require_files
from polytag.data.planet import read_planet
from polytag.data.sheet import read_sheet
from polytag.errors import UserError

# The published counts are of words. 70 rows name cultivation twice and 3 blow_down, so that 73 words give no new label.
WORDS = {
    "primary": 37513, "clear": 28431, "agriculture": 12315, "road": 8071, "water": 7411, "partly_cloudy": 7261,
    "cultivation": 4547, "habitation": 3660, "haze": 2697, "cloudy": 2089, "bare_ground": 862,
    "selective_logging": 340, "artisinal_mine": 339, "blooming": 332, "slash_burn": 209, "blow_down": 101,
    "conventional_mine": 100,
}  # fmt: skip


@pytest.mark.parametrize(("suffix", "folder"), [(".jpg", "train-jpg"), (".tif", "train-tif-v2")])
def test_labels_and_chips(tmp_path: Path, suffix: str, folder: str) -> None:
    labels = make_planet(tmp_path, rows=6, suffix=suffix)
    table = require_files(read_planet(str(tmp_path), suffix=suffix))
    assert table.classes == CLASSES and len(CLASSES) == 17
    assert [[name for name, has in zip(CLASSES, row, strict=True) if has] for row in table.targets] == labels
    assert table.paths[3] == str(tmp_path / folder / f"train_3{suffix}")
    chip = table.decoder.read(table.paths[3]).astype(int)
    assert abs(chip - draw(labels[3], CLASSES, seed=3, width=51)).mean() < (8 if suffix == ".jpg" else 0.01)


def test_tif_range_sets_the_scale(tmp_path: Path) -> None:
    make_planet(tmp_path, rows=2, suffix=".tif")
    bright = read_planet(str(tmp_path), suffix=".tif", tif_range=[0, 5000])
    plain = read_planet(str(tmp_path), suffix=".tif")
    dark = plain.decoder.read(plain.paths[0]).astype(int)  # without labels: noise below 60 of 255
    assert abs(bright.decoder.read(bright.paths[0]) - 2 * dark).max() <= 1


def test_own_folder_and_label_file(tmp_path: Path) -> None:
    make_planet(tmp_path, rows=2)
    (tmp_path / "train_v2.csv").rename(tmp_path / "train.csv")
    table = read_planet(str(tmp_path), labels="train.csv", folder="chips")
    assert table.paths[0] == str(tmp_path / "chips" / "train_0.jpg")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"suffix": ".jpeg"}, ["data.suffix=.jpeg", ".jpg or .tif"]),
        ({"suffix": ".tif", "tif_range": [5, 5]}, ["data.tif_range=[5, 5]"]),
        ({"download": True}, ["Kaggle account", "kaggle competitions download -c planet-understanding", "train-jpg"]),
        ({"download": True, "suffix": ".tif"}, ["train-tif-v2.tar.7z"]),
        ({"labels": "train_v3.csv"}, ["train_v3.csv", "kaggle competitions download"]),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, object], words: list[str]) -> None:
    make_planet(tmp_path, rows=2)
    with pytest.raises(UserError) as caught:
        read_planet(str(tmp_path), **options)  # type: ignore[arg-type]
    assert [word for word in words if word not in str(caught.value)] == [] and "\n" not in str(caught.value)


def test_missing_root_tells_how_to_get_it_and_quotes_the_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .* -p '.*my data' -f train-jpg.tar.7z"):
        read_planet(str(tmp_path / "my data"))


def test_unknown_label(tmp_path: Path) -> None:
    (tmp_path / "train_v2.csv").write_text("image_name,tags\ntrain_0,clear primry\n")
    with pytest.raises(UserError, match=r"'primry'.*Did you mean 'primary'"):
        read_planet(str(tmp_path))


@pytest.mark.real_data
def test_real_labels() -> None:
    if "POLYTAG_REAL_DATA" not in os.environ:
        pytest.skip("POLYTAG_REAL_DATA is not set")
    root = Path(os.environ["POLYTAG_REAL_DATA"], "planet")
    words = " ".join(read_sheet(root / "train_v2.csv").cells("tags")).split()
    assert {name: words.count(name) for name in CLASSES} == WORDS
    table = read_planet(str(root))
    assert len(table) == 40479
    rows = dict(zip(table.classes, table.targets.sum(0).tolist(), strict=True))
    assert rows == WORDS | {"cultivation": 4477, "blow_down": 98}
    with pytest.raises(UserError, match=r"40,474 of 40,479 images are missing .*goes on with the 5 that are there"):
        require_files(table)
    chips = require_files(table, on_missing="drop")
    assert chips.names.tolist() == [f"train_{number}.jpg" for number in range(5)]
    pixels = chips.decoder.read(chips.paths[0])
    assert pixels.shape == (256, 256, 3) and np.all(pixels.mean((0, 1)) > 60)  # not the inverted CMYK channels
