"""Kaggle's "Planet: Understanding the Amazon from Space": satellite chips with weather and land-use labels."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polytag.data.csv import read_csv
from polytag.data.files import require_path
from polytag.data.images import Decoder
from polytag.data.label_table import LabelTable
from polytag.errors import UserError, did_you_mean

# By frequency in train_v2.csv, the spelling ("artisinal") included.
CLASSES = (
    *("primary", "clear", "agriculture", "road", "water", "partly_cloudy", "cultivation", "habitation", "haze"),
    *("cloudy", "bare_ground", "selective_logging", "artisinal_mine", "blooming", "slash_burn", "blow_down"),
    "conventional_mine",
)
FOLDERS = {".jpg": "train-jpg", ".tif": "train-tif-v2"}
# The files' bands are blue, green, red, near-infrared.
RGB_BANDS = (2, 1, 0)


def read_planet(
    root: str,
    labels: str = "train_v2.csv",
    suffix: str = ".jpg",
    folder: str | None = None,
    tif_range: Sequence[float] = (0, 10000),
    download: bool = False,
) -> LabelTable:
    """Read Planet's label file. `conf/data/planet.yaml` says what each argument means.

    Raises:
        UserError: The label file is missing, has a label that is none of the 17, or a download is asked for.
    """
    if suffix not in FOLDERS:
        raise UserError(f"data.suffix={suffix} is not known: .jpg or .tif.{did_you_mean(suffix, FOLDERS)}")
    base, images = Path(root).expanduser(), folder or FOLDERS[suffix]
    hint = how_to_get(base, FOLDERS[suffix])
    if download:
        raise UserError(f"data.download=true cannot fetch Planet. {hint}")
    require_path(base, "folder", hint)
    require_path(base / labels, "label file", hint)
    columns = {"image_column": "image_name", "label_column": "tags"}
    table = read_csv(str(base), file=labels, images=images, suffix=suffix, classes=CLASSES, **columns)
    return replace(table, decoder=_decoder(tif_range) if suffix == ".tif" else Decoder(), hint=hint)


def how_to_get(root: Path, archive: str) -> str:
    """Return the commands that fetch Planet, as fast.ai's lesson gives them (not tried here: they need an account)."""
    place = shlex.quote(str(root))
    kaggle = f"kaggle competitions download -c planet-understanding-the-amazon-from-space -p {place} -f"
    return (
        "Planet needs a Kaggle account that has accepted the competition's rules; then run: "
        f"{kaggle} {archive}.tar.7z && {kaggle} train_v2.csv && unzip {place}/train_v2.csv.zip -d {place} "
        f"&& 7z x -so {place}/{archive}.tar.7z | tar xf - -C {place}"
    )


def _decoder(tif_range: Sequence[float]) -> Decoder:
    if len(tif_range) != 2 or not tif_range[0] < tif_range[1]:
        raise UserError(f"data.tif_range={list(tif_range)} must be two numbers, the darkest and the brightest value.")
    return Decoder(bands=RGB_BANDS, low=float(tif_range[0]), high=float(tif_range[1]))
