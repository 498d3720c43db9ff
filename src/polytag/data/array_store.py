"""Arrays on disk under short keys: what has been computed once, for any process that needs it again.

A store is a folder that only grows. Each writing leaves a segment: a file of raw bytes, which readers map into memory,
and an index beside it, which appears last and at once: a segment without an index does not exist. Whoever dies in the
middle of a writing leaves a file that the next writer deletes. One process writes at a time; readers need not wait.
"""

import errno
import logging
import math
import os
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from polytag.errors import UserError

log = logging.getLogger(__name__)

INDEX, ARRAYS, UNFINISHED = ".index.npz", ".arrays", ".unfinished"
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # what reading an index cut short raises


@dataclass
class Segment:
    """One writing of a store, while it is written."""

    file: Any
    keys: list[bytes]
    shapes: list[tuple[int, ...]]

    def append(self, key: bytes, array: npt.NDArray[Any]) -> None:
        """Add an array under a key."""
        self.file.write(np.ascontiguousarray(array).data)
        self.keys.append(key)
        self.shapes.append(array.shape)


class ArrayStore:
    """A folder of arrays of one type and number of dimensions, each under its key.

    Args:
        folder: Where they are; it need not exist yet.
        dtype: Their type.
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self.folder, self.dtype = folder, np.dtype(dtype)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who writes; waits for another process, and says so."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=1.0)
        except Timeout:
            log.info(f"Another process is filling {self.folder}: waiting for it.")
            lock.acquire()
        try:
            for left in self.folder.glob(f"*{UNFINISHED}"):
                left.unlink()
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self) -> Iterator[Segment]:
        """Write one segment, under the lock. What has been appended before an exception is kept."""
        name = uuid.uuid4().hex[:12]
        unfinished = self.folder / f"{name}{UNFINISHED}"
        with open(unfinished, "wb") as file:
            segment = Segment(file, [], [])
            try:
                try:
                    yield segment
                finally:
                    if segment.keys:
                        self._publish(name, segment)
                    else:
                        unfinished.unlink()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise UserError(f"The disk is full, so {self.folder} cannot be filled any further.") from error

    def _publish(self, name: str, segment: Segment) -> None:
        segment.file.flush()
        segment.file.truncate(self.dtype.itemsize * sum(map(math.prod, segment.shapes)))  # an append may be interrupted
        os.fsync(segment.file.fileno())
        index = self.folder / f"{name}{INDEX}{UNFINISHED}"
        with open(index, "wb") as file:
            np.savez(file, keys=np.array(segment.keys, "S"), shapes=np.array(segment.shapes, np.int64))
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.folder / f"{name}{UNFINISHED}", self.folder / f"{name}{ARRAYS}")
        os.replace(index, self.folder / f"{name}{INDEX}")

    def find(self, keys: Sequence[bytes]) -> "StoredArrays":
        """Look keys up, and mark the segments that have some as just used."""
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        files: list[Path] = []
        segment, start = np.full(len(keys), -1), np.zeros(len(keys), np.int64)
        shapes: list[tuple[int, ...]] = [()] * len(keys)
        for index in sorted(self.folder.glob(f"*{INDEX}")):
            content = _read_index(index, self.dtype)
            hits = [] if content is None else [(first[key], i) for i, key in enumerate(content.keys) if key in first]
            if content is None or not hits:
                continue
            with suppress(PermissionError):  # a cache of others, to be read only
                os.utime(index)
            for row, i in hits:
                segment[row], start[row], shapes[row] = len(files), content.starts[i], content.shapes[i]
            files.append(content.file)
        same = [first[key] for key in keys]  # a key may be asked for several times
        return StoredArrays(files, segment[same], start[same], [shapes[row] for row in same], self.dtype)

    def to_write(self, keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Return the rows whose arrays are not stored, ascending; the first one where several have the same key."""
        missing = self.find(keys).missing
        return np.sort(missing[np.unique([keys[row] for row in missing], return_index=True)[1]])


class Index(NamedTuple):
    """What a segment holds: its file, and of each array key, shape and number of the first element."""

    file: Path
    keys: list[bytes]
    shapes: list[tuple[int, ...]]
    starts: npt.NDArray[np.int64]


def _read_index(index: Path, dtype: np.dtype[Any]) -> Index | None:
    """Read the index of a segment; None where it is damaged or being deleted."""
    file = arrays_of(index)
    try:
        with np.load(index) as content:
            keys, shapes = content["keys"], content["shapes"]
        ends = np.cumsum(shapes.prod(1))
        if file.stat().st_size == ends[-1] * dtype.itemsize:
            return Index(file, keys.tolist(), list(map(tuple, shapes.tolist())), ends - shapes.prod(1))
    except DAMAGE as error:
        log.warning(f"{index} cannot be read ({error}): what it held is computed again.")
        return None
    log.warning(f"{file} does not have the size that its index says: what it held is computed again.")
    return None


@dataclass
class StoredArrays:
    """Where the arrays of some rows are. Files are mapped when the first array is read from them, in each process.

    Attributes:
        files: The segments.
        segment: ``(N,)`` which segment a row is in; -1 where its array is not stored.
        start: ``(N,)`` number of its first element there.
        shapes: Shape of each array.
        dtype: Type of all of them.
    """

    files: list[Path]
    segment: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    shapes: list[tuple[int, ...]]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        self._maps: dict[int, npt.NDArray[Any] | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}  # pickled for another process, a map would be read as a whole

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """Rows whose arrays are not stored."""
        return np.flatnonzero(self.segment < 0)

    def read(self, row: int) -> npt.NDArray[Any] | None:
        """Return a copy of a row's array, or None where it is not stored, or has been deleted meanwhile."""
        mapped, start, shape = self._mapped(int(self.segment[row])), int(self.start[row]), self.shapes[row]
        return None if mapped is None else mapped[start : start + math.prod(shape)].reshape(shape).copy()

    def read_parts(self, rows: npt.NDArray[np.int64], parts: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return one part of the array of each row, for arrays of one shape ``(P, ...)``; None where any is not there.

        Args:
            rows: ``(B,)``.
            parts: ``(B,)`` from 0 to P - 1.

        Returns:
            ``(B, ...)``.
        """
        shape = self.shapes[int(rows[0])][1:]
        size, segments = math.prod(shape), self.segment[rows]
        out = np.empty((len(rows), size), self.dtype)
        for segment in np.unique(segments):
            mapped = self._mapped(int(segment))
            if mapped is None:
                return None
            here = segments == segment
            out[here] = mapped.reshape(-1, size)[self.start[rows[here]] // size + parts[here]]
        return out.reshape(len(rows), *shape)

    def _mapped(self, segment: int) -> npt.NDArray[Any] | None:
        """Return the numbers of a segment, mapped on first use."""
        if segment < 0:
            return None
        if segment not in self._maps:
            self._maps[segment] = self._map(self.files[segment])
        return self._maps[segment]

    def _map(self, file: Path) -> npt.NDArray[Any] | None:
        try:
            return np.asarray(np.memmap(file, self.dtype, "r"))
        except FileNotFoundError:
            log.warning(f"{file} is gone: its arrays are computed again whenever they are needed.")
            return None


def arrays_of(index: Path) -> Path:
    """Return the file of raw bytes that belongs to an index."""
    return index.with_name(index.name.removesuffix(INDEX) + ARRAYS)
