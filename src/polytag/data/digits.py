"""The built-in source: scenes composed from the 1,797 handwritten digits that scikit-learn ships. No download.

A scene holds 0 to 4 digits of varied size, slant, colour and place on a noisy coloured ground; its labels are the
digits present. Digits that appear in validation scenes never appear in training scenes. The scenes are written once
as PNG files with a `labels.csv` beside them, so everything that works on your own images works on them.
"""

import csv
import os
import re
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from polytag.data.label_table import TRAIN, VAL, LabelTable, make_table
from polytag.errors import UserError, first_few

CLASSES = tuple("0123456789")
VERSION = 1  # part of the folder's name: raise it when the pixels change
OWN = re.compile(r"\.|v\d+-seed")  # names of the folders that this module makes, and hidden files
MAX_DIGITS = 4
VAL_SHARE_OF_DIGITS = 0.25


def read_digits(
    root: str, train_scenes: int = 1600, val_scenes: int = 400, scene_size: int = 96, scene_seed: int = 0
) -> LabelTable:
    """Return the table of the scenes, composing them first where they are not there yet.

    Args:
        root: Folder below which the scenes are written, one sub-folder for each set of values.
        train_scenes: Number of training scenes.
        val_scenes: Number of validation scenes.
        scene_size: Side of a scene in pixels.
        scene_seed: The same seed gives the same pixels.

    Raises:
        UserError: A number that is too small, or a folder that cannot be written or holds something else.
    """
    if train_scenes < 1 or val_scenes < 1 or scene_size < 32:
        raise UserError(
            "data: digits need at least 1 training scene, 1 validation scene and 32 pixels, "
            f"not {train_scenes}, {val_scenes} and {scene_size}."
        )
    folder = Path(root) / f"v{VERSION}-seed{scene_seed}-{train_scenes}+{val_scenes}-{scene_size}px"
    if not folder.exists():
        _refuse_other_files(Path(root))
        try:
            _write_scenes(folder, train_scenes, val_scenes, scene_size, scene_seed)
        except OSError as error:
            raise UserError(f"The digit scenes cannot be written to {folder} ({error}). Set data.root.") from error
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return make_table(
        folder,
        [row["image"] for row in rows],
        [row["tags"].split() for row in rows],
        classes=CLASSES,
        split=[row["split"] for row in rows],
        hint=f"Delete {folder} and start again: it is composed anew.",
        origin=str(folder / "labels.csv"),
    )


def _refuse_other_files(root: Path) -> None:
    """Refuse to compose scenes among somebody's photographs, where only `data=` was forgotten."""
    there = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    if other := [name for name in there if not OWN.match(name)]:
        raise UserError(
            f"data.root={root} holds other files ({first_few(other)}), and data=digits would write its scenes there. "
            "Which data is it? Add data=folder, csv, miml, pascal or planet; for the scenes leave data.root out."
        )


def _write_scenes(folder: Path, train_scenes: int, val_scenes: int, size: int, seed: int) -> None:
    """Compose all scenes into a temporary folder and move it into place, so that a half-written one never counts."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".composing-", dir=folder.parent))
    try:
        glyphs, names = _load_glyphs()
        order = np.random.default_rng(seed).permutation(len(glyphs))
        val_glyphs, train_glyphs = np.split(order, [int(len(order) * VAL_SHARE_OF_DIGITS)])
        rows = []
        for split, count, pool in ((TRAIN, train_scenes, train_glyphs), (VAL, val_scenes, val_glyphs)):
            for number in range(count):
                rng = np.random.default_rng([seed, split == VAL, number])
                scene, present = compose_scene(glyphs[pool], names[pool], size, rng)
                image = f"{split}_{number:05d}.png"
                cv2.imwrite(str(temporary / image), cv2.cvtColor(scene, cv2.COLOR_RGB2BGR))
                rows.append({"image": image, "tags": " ".join(map(str, present)), "split": split})
        with open(temporary / "labels.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["image", "tags", "split"])
            writer.writeheader()
            writer.writerows(rows)
        os.chmod(temporary, 0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not folder.exists():  # else another process was faster, with the same pixels
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load_glyphs() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the digits, ``(1797, 8, 8)`` between 0 and 1, and which digit each one is."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.images / 16.0).astype(np.float32), digits.target


def compose_scene(
    glyphs: npt.NDArray[np.float32], names: npt.NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Compose one scene from a pool of digits.

    Returns:
        The ``(size, size, 3)`` RGB scene, and the digits present, sorted, each once.
    """
    scene = _ground(size, rng)
    base = scene.mean((0, 1))
    taken: list[tuple[float, float, float]] = []
    present: set[int] = set()
    for _ in range(rng.integers(0, MAX_DIGITS + 1)):
        side = int(size * rng.uniform(0.3, 0.48))
        place = _free_place(size, side, taken, rng)
        if place is None:
            continue
        taken.append((*place, side))
        pick = rng.integers(len(glyphs))
        present.add(int(names[pick]))
        _paint(scene, _slanted(glyphs[pick], side, rng), place, _contrasting(base, rng))
    noisy = scene + rng.normal(0, rng.uniform(3, 12), scene.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), sorted(present)


def _ground(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a coloured ground with soft blotches."""
    blotches = rng.normal(0, 18, (4, 4, 3)).astype(np.float32)
    soft = cv2.resize(blotches, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(soft + rng.uniform(30, 225, 3), np.float32)


def _free_place(
    size: int, side: int, taken: list[tuple[float, float, float]], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return the top left corner of a place that hardly overlaps with the digits before, or None."""
    for _ in range(20):
        top, left = (int(v) for v in rng.integers(0, size - side + 1, 2))
        if all(max(abs(top - t), abs(left - w)) > 0.75 * max(side, s) for t, w, s in taken):
            return top, left
    return None


def _slanted(glyph: npt.NDArray[np.float32], side: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a digit enlarged to a side and turned by up to 15 degrees."""
    large = cv2.resize(glyph, (side, side), interpolation=cv2.INTER_CUBIC)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-15, 15), 0.95)
    return np.clip(cv2.warpAffine(large, turn, (side, side)), 0, 1)


def _contrasting(base: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a random colour that stands out from the ground."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.abs(colour - base).sum() > 220:
            return colour


def _paint(
    scene: npt.NDArray[np.float32],
    mask: npt.NDArray[np.float32],
    place: tuple[int, int],
    colour: npt.NDArray[np.float64],
) -> None:
    """Blend a colour into the scene through a mask, in place."""
    top, left = place
    area = scene[top : top + mask.shape[0], left : left + mask.shape[1]]
    area += mask[:, :, None] * (colour - area)
