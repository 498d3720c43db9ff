"""The label table: what every source produces and everything behind it reads."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polytag.data.images import Decoder
from polytag.data.presize import Presize
from polytag.data.storage import FILES, Storage
from polytag.errors import UserError, did_you_mean, first_few

TRAIN, VAL, TEST, UNASSIGNED = "train", "val", "test", ""
PRESENT, ABSENT, UNKNOWN = 1, 0, -1  # what a target says of an image and a class
SPLITS = (TRAIN, VAL, TEST, UNASSIGNED)


@dataclass(frozen=True)
class LabelTable:
    """Images and their labels, one row an image.

    Attributes:
        paths: ``(N,)`` image files, or what else the storage calls them, in the order of the source.
        names: ``(N,)`` short names, unique where the source has unique ones: what `predictions.csv` shows.
        classes: The L class names, in the order of the target columns.
        targets: ``(N, L)`` int8 matrix of PRESENT, ABSENT and UNKNOWN. A row without any label is legal. What is
            unknown counts neither in losses nor in scores.
        split: ``(N,)`` strings out of `SPLITS`; `UNASSIGNED` rows are for `polytag.data.split` to place.
        decoder: How this source's files become RGB.
        storage: Where they are read from.
        hint: How to get the files when they are missing, as an imperative sentence.
    """

    paths: npt.NDArray[np.str_]
    names: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    targets: npt.NDArray[np.int8]
    split: npt.NDArray[np.str_]
    decoder: Decoder = field(default_factory=Decoder)
    storage: Storage = FILES
    hint: str = "Put the files there, or correct data.root."

    def __post_init__(self) -> None:
        rows = len(self.paths)
        assert self.targets.shape == (rows, len(self.classes)), (self.targets.shape, rows, len(self.classes))
        assert self.targets.dtype == np.int8, self.targets.dtype
        assert len(self.names) == rows and len(self.split) == rows
        assert set(np.unique(self.split)) <= set(SPLITS), np.unique(self.split)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def positives(self) -> npt.NDArray[np.bool_]:
        """Which labels the images have, ``(N, L)``."""
        return np.asarray(self.targets == PRESENT)

    @property
    def is_single_label(self) -> bool:
        """Whether every row has exactly one label, and none that is unknown."""
        return bool(len(self)) and bool((self.positives.sum(1) == 1).all()) and bool((self.targets != UNKNOWN).all())

    def read(self, row: int, presize: Presize | None = None) -> npt.NDArray[np.uint8]:
        """Return the image of a row as ``(H, W, 3)`` RGB uint8, shrunk to a presize where there is one.

        Raises:
            UserError: It is missing, cut short or no image.
        """
        return self.decoder.read(str(self.paths[row]), presize, self.storage)

    def keys(self, by: str = "stat") -> list[bytes]:
        """Return a short key of each image, see `Storage.keys`."""
        return self.storage.keys(self.paths.tolist(), by)

    def announce(self, rows: npt.NDArray[np.int64]) -> None:
        """Say that some rows will be read soon, so that what they lie in can be fetched."""
        if (layout := self.storage.layout(self.paths[rows].tolist())) is not None:
            for shard in dict.fromkeys(layout.shard.tolist()):
                layout.want(shard)

    def fingerprint(self) -> str:
        """Return a short hash of names, classes, targets and splits: equal where a training would see equal samples."""
        digest = hashlib.sha256(json.dumps([self.names.tolist(), self.split.tolist(), self.classes]).encode())
        digest.update(self.targets.tobytes())
        return digest.hexdigest()[:16]

    def rows(self, index: npt.NDArray[np.generic]) -> "LabelTable":
        """Return the table of some rows, by index or boolean mask."""
        return replace(
            self,
            paths=self.paths[index],
            names=self.names[index],
            targets=self.targets[index],
            split=self.split[index],
        )

    def part(self, split: str) -> "LabelTable":
        """Return the rows of one split."""
        return self.rows(self.split == split)


def make_table(
    root: Path,
    files: Sequence[str],
    labels: Sequence[Iterable[str]],
    *,
    unknown: Sequence[Iterable[str]] | None = None,
    classes: Sequence[str] | None = None,
    split: Sequence[str] | None = None,
    decoder: Decoder | None = None,
    hint: str | None = None,
    origin: str = "the source",
) -> LabelTable:
    """Build a table from file names below a folder and the label names of each.

    Args:
        root: The folder that holds the files.
        files: Path of each image relative to the root; it is the row's name too.
        labels: Label names of each image; an empty iterable is an image without labels.
        unknown: Names of the labels that each image may have or not, nobody knows. A label of the image stays one.
        classes: The class list. Inferred (sorted names) when not given.
        split: Split of each row; all `UNASSIGNED` when not given.
        decoder: How the files become RGB.
        hint: How to get missing files.
        origin: What to call the place of the labels in an error (a file name).

    Raises:
        UserError: No row, no class, a class listed twice, or a label outside the class list.
    """
    if not len(files):
        raise UserError(f"{origin} lists no image. Check data.root and the file's content.")
    label_lists = [list(row) for row in labels]
    unsure = [list(row) for row in unknown] if unknown is not None else [[] for _ in label_lists]
    found = sorted({label for row in (*label_lists, *unsure) for label in row})
    names = tuple(found if classes is None else (str(name) for name in classes))  # YAML reads 1 as a number
    if not names:
        raise UserError(f"{origin} has no label on any of its {len(files):,} rows: there is nothing to learn.")
    if len(set(names)) != len(names):
        raise UserError(f"A class stands twice in the class list: {first_few(n for n in names if names.count(n) > 1)}.")
    column = {name: i for i, name in enumerate(names)}
    if unknown := [label for label in found if label not in column]:
        raise UserError(
            f"{origin} has labels outside the class list: {first_few(repr(u) for u in unknown)}."
            f"{did_you_mean(unknown[0], names)} Correct the file or the class list (data.classes, if it has one)."
        )
    targets = np.full((len(files), len(names)), ABSENT, np.int8)
    for rows, mark in ((unsure, UNKNOWN), (label_lists, PRESENT)):
        row_index = [i for i, row in enumerate(rows) for _ in row]
        targets[row_index, [column[label] for row in rows for label in row]] = mark
    table = LabelTable(
        paths=np.array([str(root / file) for file in files]),
        names=np.array([str(file) for file in files]),
        classes=names,
        targets=targets,
        split=np.array(list(split) if split is not None else [UNASSIGNED] * len(files), dtype="<U5"),
        decoder=decoder or Decoder(),
    )
    return replace(table, hint=hint) if hint else table
