"""The resize cache: presized images on disk, read by mapping instead of decoding. Shared by runs, folds and sweeps."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL

from polytag.data.array_store import ArrayStore, StoredArrays
from polytag.data.cache_folder import require_room
from polytag.data.images import Decoder
from polytag.data.label_table import LabelTable
from polytag.data.presize import VERSION, Presize
from polytag.data.storage import short_key
from polytag.errors import UserError
from polytag.threads import available_cores
from polytag.tracking.console import progress_bar

# Another version of a decoder may give other pixels.
LIBRARIES = (cv2.__version__, PIL.__version__)
SEGMENT = 2048  # images: what is lost at most when the machine fails while a cache is filled
SAMPLE = 16  # images from which the size on disk is estimated


@dataclass(frozen=True)
class ResizeCache:
    """Presized images on disk, one store for each presize and way of decoding.

    Attributes:
        folder: Where the stores are.
        limit_gb: How large the folder may become, in 10^9 bytes.
        key: What tells one image from another, see `Storage.keys`.
    """

    folder: Path
    limit_gb: float = 20.0
    key: str = "stat"

    def __post_init__(self) -> None:
        if self.key not in ("stat", "content"):
            raise UserError(f"data.cache_key={self.key} is neither stat nor content.")

    def store(self, presize: Presize, decoder: Decoder) -> ArrayStore:
        """Return the store of a presize and a way of decoding."""
        settings = short_key(repr((VERSION, LIBRARIES, presize, decoder, self.key)).encode()).decode()
        return ArrayStore(self.folder / f"images_{presize.side}px_{presize.mode}_{settings[:8]}", np.uint8)

    def find(self, table: LabelTable, presize: Presize) -> StoredArrays:
        """Return the stored images of a table's rows."""
        return self.store(presize, table.decoder).find(table.keys(self.key))

    def fill(self, table: LabelTable, presizes: Sequence[Presize], threads: int | None = None) -> dict[Presize, int]:
        """Store the images of a table at several presizes; only what is missing is read. Returns how many were.

        Args:
            table: The rows.
            presizes: What to shrink them to.
            threads: How many images are decoded at the same time; None for as many as there are cores.

        Raises:
            UserError: It would not fit into the limit or on the disk; or an image cannot be read. What has been stored
                before stays.
        """
        keys = table.keys(self.key)
        self.require_room(table, presizes)
        written = dict.fromkeys(presizes, 0)
        for presize in presizes:
            store = self.store(presize, table.decoder)
            if not len(store.find(keys).missing):
                continue
            with store.locked():
                rows = store.to_write(keys)  # another process may have stored some meanwhile
                self._write(store, table, keys, rows, presize, threads or available_cores())
            written[presize] = len(rows)
        return written

    def _write(
        self,
        store: ArrayStore,
        table: LabelTable,
        keys: Sequence[bytes],
        rows: npt.NDArray[np.int64],
        presize: Presize,
        threads: int,
    ) -> None:
        """Read, shrink and store rows, segment by segment, in their order."""

        def read(row: int) -> npt.NDArray[np.uint8]:
            return table.read(row, presize)

        with progress_bar() as progress, ThreadPoolExecutor(threads) as pool:
            bar = progress.add_task(f"Caching at {presize.side} px", total=len(rows))
            for begin in range(0, len(rows), SEGMENT):
                part = rows[begin : begin + SEGMENT].tolist()
                table.announce(rows[begin : begin + 2 * SEGMENT])
                with store.writing() as segment:
                    try:
                        for row, image in zip(part, pool.map(read, part), strict=True):
                            segment.append(keys[row], image)
                            progress.advance(bar)
                    except BaseException:
                        pool.shutdown(cancel_futures=True)
                        raise

    def require_room(self, table: LabelTable, presizes: Sequence[Presize]) -> None:
        """Estimate from some images what a filling takes, and refuse it where there is no room for it.

        Raises:
            UserError: The room that it takes, the room there is, and what to do.
        """
        needed, there = 0.0, 0.0
        for presize in presizes:
            stored = self.find(table, presize)
            rows = stored.missing
            there += sum(math.prod(shape) for shape in stored.shapes)
            sample = rows[np.linspace(0, max(0, len(rows) - 1), min(SAMPLE, len(rows))).astype(int)]
            sizes = [table.read(row, presize).nbytes for row in sample]
            needed += float(np.mean(sizes)) * len(rows) if sizes else 0.0
        if needed:
            what = f"The shrunken images of {', '.join(f'{presize.side} px' for presize in presizes)}"
            require_room(self.folder, needed, self.limit_gb, what, "data.cache=false", there)
