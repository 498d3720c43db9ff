"""The images of a report: small copies of those worth a look, each read once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from polytag.data.label_table import LabelTable
from polytag.errors import UserError
from polytag.inference.scoring import Result
from polytag.tracking.marked_names import marked_names
from polytag.tracking.page import data_url
from polytag.tracking.picture_choice import Mistake, most_uncertain, most_wrong, sample_rows, without_label
from polytag.tracking.picture_grid import resize_to

log = logging.getLogger(__name__)

SIDE, QUALITY = 200, 80  # pixels of the longer side, of JPEG: some 10 kB a photograph
RANDOM, WRONG, UNCERTAIN, EMPTY = 12, 40, 12, 12  # images at most
MAPS = 12  # of the surest mistakes; each costs as much as a step of the training with one image

# Returns an image once for each of some labels, coloured by where the network sees it; see `activation_overlays`.
Overlays = Callable[[npt.NDArray[np.uint8], Sequence[int]], Sequence[npt.NDArray[np.uint8]]]


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of an image: its address, which holds it, and its size in pixels."""

    url: str
    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """An image on the page.

    Attributes:
        row: Its index.
        file: Its name.
        names: Its true and predicted names, marked.
        words: The same in words, for those who do not see it.
        note: What it is shown for.
        small: None where it cannot be read.
        seen_at: The same, coloured by where the network sees the label of the note; None where that is not shown.
        is_first: Whether it did not appear on the page before.
    """

    row: int
    file: str
    names: Sequence[tuple[str, str]]
    words: str
    note: str
    small: Thumbnail | None
    seen_at: Thumbnail | None
    is_first: bool


@dataclass(frozen=True)
class Group:
    """Images that are shown for one reason."""

    title: str
    text: str
    pictures: Sequence[Picture]


def picture_groups(result: Result, overlays: Overlays | None = None) -> list[Group]:
    """Return the groups of images that a report shows; those without an image are left out."""
    wrong = most_wrong(result.probabilities, result.table.targets, result.decisions, WRONG)
    surest = sorted(wrong, key=lambda mistake: -mistake.certainty)[:MAPS] if overlays else []
    choices = [choice for choice in _choices(result, wrong) if choice[2]]
    labels = {row: [one.label for one in surest if one.row == row] for _, _, shown in choices for row, _ in shown}
    small, maps = _thumbnails(result.table, labels, overlays)
    seen_at = {_note(one, result.table.classes): maps.get((one.row, one.label)) for one in surest}
    seen: set[int] = set()
    return [
        Group(
            title, text, [_picture(result, row, note, small.get(row), seen_at.get(note), seen) for row, note in shown]
        )
        for title, text, shown in choices
    ]


def _choices(result: Result, wrong: Sequence[Mistake]) -> list[tuple[str, str, list[tuple[int, str]]]]:
    """Return title, text, and rows with what each is shown for."""
    table, given = result.table, result.decisions
    surest = f"; the {WRONG} of which the network was surest" if len(wrong) == WRONG else ""
    empty = without_label(given, table.targets)
    rightly = int((~(table.targets[empty] == 1).any(1)).sum())
    wrong_text = "The wrongly given label of highest and the missed one of lowest probability of each class"
    uncertain_text = "Those whose labels have the highest mean entropy: probabilities near one half."
    empty_text = f"{len(empty):,} of {len(table):,} images were given no label, {rightly:,} of them rightly."
    return [
        ("A random choice", "", _unnoted(sample_rows(len(table), RANDOM, seed=0))),
        (
            "Most wrong of each class",
            f"{wrong_text}{surest}.",
            [(mistake.row, _note(mistake, table.classes)) for mistake in wrong],
        ),
        ("Most uncertain", uncertain_text, _unnoted(most_uncertain(result.probabilities, UNCERTAIN))),
        (
            "Without a predicted label",
            f"{empty_text} First those that should have the most.",
            _unnoted(empty[:EMPTY]),
        ),
    ]


def _unnoted(rows: npt.NDArray[np.intp]) -> list[tuple[int, str]]:
    return [(int(row), "") for row in rows]


def _note(mistake: Mistake, classes: Sequence[str]) -> str:
    verb = "given" if mistake.is_given else "missed"
    return f"{classes[mistake.label]} {verb} at {mistake.probability:.2f}"


def _picture(
    result: Result, row: int, note: str, small: Thumbnail | None, seen_at: Thumbnail | None, seen: set[int]
) -> Picture:
    """Return an image of the page, and note that it has been seen."""
    table, is_first = result.table, row not in seen
    seen.add(row)
    true, predicted = (_joined(chosen, table.classes) for chosen in (table.targets[row] == 1, result.decisions[row]))
    names = marked_names(table.targets[row], result.decisions[row], table.classes)
    words = f"true: {true}; predicted: {predicted}"
    return Picture(row, str(table.names[row]), names, words, note, small, seen_at, is_first)


def _joined(chosen: npt.NDArray[Any], classes: Sequence[str]) -> str:
    return ", ".join(classes[int(place)] for place in np.flatnonzero(chosen)) or "none"


def _thumbnails(
    table: LabelTable, labels: Mapping[int, Sequence[int]], overlays: Overlays | None
) -> tuple[dict[int, Thumbnail], dict[tuple[int, int], Thumbnail]]:
    """Return small copies of images by row, and of their overlays by row and label; each image is read once.

    Those that cannot be read are left out: a report shows the others.
    """
    small: dict[int, Thumbnail] = {}
    maps: dict[tuple[int, int], Thumbnail] = {}
    for row in sorted(labels):
        try:
            pixels = table.read(row)
        except UserError as error:
            log.warning(f"report.html lacks an image. {error}")
            continue
        small[row] = _thumbnail(pixels)
        if overlays is not None and labels[row]:
            try:
                drawn = overlays(pixels, labels[row])
            except Exception as error:  # of whatever network: what it sees where is no reason to lose the images
                log.warning(f"report.html does not show where the network sees labels. {error}")
                overlays = None
                continue
            maps |= {(row, label): _thumbnail(one) for label, one in zip(labels[row], drawn, strict=True)}
    return small, maps


def _thumbnail(pixels: npt.NDArray[np.uint8]) -> Thumbnail:
    shrunken = resize_to(pixels, min(SIDE, max(pixels.shape[:2])))
    bgr = cv2.cvtColor(shrunken, cv2.COLOR_RGB2BGR)
    done, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return Thumbnail(data_url(content.tobytes(), "jpeg"), shrunken.shape[1], shrunken.shape[0])
