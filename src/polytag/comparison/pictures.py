"""The images that tell two runs apart, small enough for a page."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from polytag.comparison.disagreements import Disagreement, disagreement
from polytag.comparison.row import Row
from polytag.errors import UserError
from polytag.tracking.marked_names import marked_names
from polytag.tracking.page import data_url
from polytag.tracking.picture_grid import resize_to

if TYPE_CHECKING:
    from polytag.metrics.evaluation import Evaluation
    from polytag.run_folder import Predictions

log = logging.getLogger(__name__)

OPPONENTS = 3  # of the best run
PICTURES = 8  # that one run has right and the other wrong
SIDE = 160  # pixels


@dataclass(frozen=True)
class Picture:
    """An image, the labels that one run gave it wrongly, and its true ones.

    Attributes:
        name: As in the predictions.
        image: Address that holds the pixels; empty where they are not there any more.
        labels: Texts and kinds of the wrong run's labels, see `marked_names`.
    """

    name: str
    image: str
    labels: list[tuple[str, str]]


@dataclass(frozen=True)
class Pair:
    """The best run and another one, and the images on which they disagree."""

    best: Row
    other: Row
    counts: Disagreement
    best_alone: list[Picture]
    other_alone: list[Picture]


def disagreeing_pairs(parts: "Sequence[tuple[Row, Evaluation, Predictions]]") -> list[Pair]:
    """Return the best run beside each of the next ones.

    Args:
        parts: Runs with their labels for the same images, the best first.
    """
    if len(parts) < 2:
        return []
    (best, first, known), *others = parts
    thumbnail, pairs = _thumbnails(best), []
    for other, second, _ in others[:OPPONENTS]:
        decisions = [one.decisions.numpy() for one in (first, second)]
        counts = disagreement(known.targets, [one.probabilities.numpy() for one in (first, second)], decisions)
        sides = [
            [
                Picture(
                    name := str(known.names[row]),
                    thumbnail(name),
                    marked_names(known.targets[row], wrong[row], known.classes),
                )
                for row in rows[:PICTURES].tolist()
            ]
            for rows, wrong in ((counts.first_alone, decisions[1]), (counts.second_alone, decisions[0]))
        ]
        pairs.append(Pair(best, other, counts, *sides))
    return pairs


def _thumbnails(row: Row) -> Callable[[str], str]:
    """Return a function that makes an address of an image's name, an empty one where its file is gone."""
    from polytag import build

    made: dict[str, str] = {}
    try:
        data = row.folder.read_config().data
        if "://" in str(data.root):
            raise UserError(f"they are at {data.root}, and nothing is fetched for a page")
        if "download" in data:
            data.download = False
        table = build.build_source(data)
        places = {str(name): place for place, name in enumerate(table.names.tolist())}
    except Exception as error:  # the data may be gone, or a source of the user's own may be: then names have to do
        log.info(f"The images of {row.folder.path} cannot be shown: {error}")
        return lambda name: ""

    def thumbnail(name: str) -> str:
        if name not in made:
            made[name] = ""
            if name in places:
                try:
                    made[name] = data_url(_jpeg(table.read(places[name])), "jpeg")
                except Exception as error:  # as above, of a single file
                    log.info(f"{name} cannot be shown: {error}")
        return made[name]

    return thumbnail


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    small = resize_to(pixels, min(SIDE, max(pixels.shape[:2])))
    done, content = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done
    return content.tobytes()
