"""What a page needs to show the images that tell any two of the best runs apart."""

import base64
import itertools
import logging
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from polytag.comparison.disagreements import Mistakes, better_rows, find_mistakes
from polytag.comparison.paired import policy_names
from polytag.comparison.row import Row
from polytag.errors import UserError
from polytag.tracking.page import data_url
from polytag.tracking.picture_grid import resize_to

if TYPE_CHECKING:
    from polytag.metrics.evaluation import Evaluation
    from polytag.run_folder import Predictions

log = logging.getLogger(__name__)

SHOWN_AT_ONCE = 12  # images of a list; a button shows more
PICTURES = 100  # thumbnails of a page, about 7 kB each
SIDE = 160  # pixels
MAX_LETTERS = 2_000_000  # of all runs' mistakes; runs beyond it cannot be chosen


def stored_mistakes(parts: "Sequence[tuple[Row, Evaluation]]", known: "Predictions") -> dict[str, Any] | None:
    """Return what each run has wrong of the same images, as a page stores it; None for fewer than two runs.

    `present` (true labels) and each run's `wrong` are packed bits, every image from a byte of its own, label 0 in the
    lowest bit; `certainty` is one byte an image. All are compressed (zlib) and written in base64.

    Args:
        parts: Runs with their labels, the best first.
        known: Names of the images and classes, and the true labels.
    """
    if len(parts) < 2:
        return None
    found: list[Mistakes] = []
    runs: list[dict[str, str]] = []
    for (row, evaluation), policy in zip(parts, policy_names([row for row, _ in parts]), strict=True):
        one = find_mistakes(known.targets, evaluation.probabilities.numpy(), evaluation.decisions.numpy())
        run = {"wrong": _packed(one.wrong), "certainty": _text(one.certainty), "name": row.name, "policy": policy}
        if len(runs) >= 2 and sum(map(_length, (*runs, run))) > MAX_LETTERS:
            break
        found.append(one)
        runs.append(run)
    return {
        "runs": runs,
        "images": known.names.tolist(),
        "classes": list(known.classes),
        "present": _packed(known.targets == 1),
        "pictures": _pictures(found, parts[0][0], known),
        "shown": SHOWN_AT_ONCE,
    }


def _length(run: dict[str, str]) -> int:
    return len(run["wrong"]) + len(run["certainty"])


def _packed(flags: npt.NDArray[np.bool_]) -> str:
    return _text(np.packbits(flags, axis=1, bitorder="little"))


def _text(values: npt.NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode("ascii")


def _pictures(found: Sequence[Mistakes], best: Row, known: "Predictions") -> dict[int, str]:
    """Return addresses that hold some images, by rows: those that stand first where the best runs are compared."""
    thumbnail = _thumbnails(best)
    made = {row: thumbnail(str(known.names[row])) for row in _first_rows(found)[:PICTURES]}
    return {row: address for row, address in made.items() if address}


def _first_rows(found: Sequence[Mistakes]) -> list[int]:
    """Return the first rows of each pair's lists, until there are enough."""
    pairs = sorted(itertools.permutations(range(len(found)), 2), key=lambda pair: (sum(pair), min(pair)))
    rows: dict[int, None] = {}
    for one, other in pairs:
        if len(rows) >= PICTURES:
            break
        rows |= dict.fromkeys(better_rows(found[one], found[other])[:SHOWN_AT_ONCE].tolist())
    return list(rows)


def _thumbnails(row: Row) -> Callable[[str], str]:
    """Return a function that makes an address of an image's name, an empty one where its file is gone."""
    from polytag import build

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
        try:
            return data_url(_jpeg(table.read(places[name])), "jpeg") if name in places else ""
        except Exception as error:  # as above, of a single file
            log.info(f"{name} cannot be shown: {error}")
            return ""

    return thumbnail


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    small = resize_to(pixels, min(SIDE, max(pixels.shape[:2])))
    done, content = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert done
    return content.tobytes()
