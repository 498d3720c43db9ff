"""Where the bytes of the images are: in files, or in something else that can be asked for them."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from polytag.threads import available_cores


@dataclass(frozen=True)
class Layout:
    """Which rows lie together, where it is quick to read those in turn that do.

    Attributes:
        shard: ``(N,)`` int64 number of the shard that each row is in.
        window: How many shards a training mixes at a time.
        want: Called with the number of each shard soon before it is read.
    """

    shard: npt.NDArray[np.int64]
    window: int
    want: Callable[[int], None]


class Storage(Protocol):
    """What can be asked for images. A path is whatever the label table calls a path.

    Attributes:
        cure: What to do about broken images, in a sentence or two.
    """

    cure: str

    def read(self, path: str) -> bytes:
        """Return the encoded image.

        Raises:
            OSError: It is not there or cannot be read.
        """

    def name(self, path: str) -> str:
        """Return what to call an image in a message."""

    def keys(self, paths: Sequence[str], by: str = "stat") -> list[bytes]:
        """Return a short key of each image: other bytes have another key.

        Args:
            paths: The images.
            by: `stat`: by place, size and time of change. `content`: by the bytes, so that copies share a key; reads
                every image.
        """

    def layout(self, paths: Sequence[str]) -> Layout | None:
        """Return how the rows of a table lie together; None where any order is as quick."""


@dataclass(frozen=True)
class Files:
    """A file an image."""

    cure = "`check-data` lists all such files; replace the file, or leave broken ones out with data.on_broken=drop."

    def read(self, path: str) -> bytes:
        """Return the content of the file."""
        return Path(path).read_bytes()

    def name(self, path: str) -> str:
        """Return the path."""
        return path

    def keys(self, paths: Sequence[str], by: str = "stat") -> list[bytes]:
        """Return a key of each file; `stat` goes by path, size and time of change."""
        if by == "content":
            return content_keys(self, paths)
        stats = ((os.path.abspath(path), os.stat(path)) for path in paths)
        return [short_key(f"{path}\n{stat.st_size}\n{stat.st_mtime_ns}".encode()) for path, stat in stats]

    def layout(self, paths: Sequence[str]) -> None:
        """Return None: files may be read in any order."""


FILES = Files()

LOCAL = "local:"  # before the name of a folder that is treated like object storage
REMOTE = ("s3://", "gs://", "r2://", "azure://", LOCAL)


def is_remote(root: str) -> bool:
    """Return whether the root of a data set is an address of object storage."""
    return root.startswith(REMOTE)


def absolute(root: str) -> str:
    """Return the root of a data set so that it means the same in another working folder."""
    if root.startswith(LOCAL):
        return LOCAL + absolute(root.removeprefix(LOCAL))
    return root if "://" in root else str(Path(root).expanduser().absolute())


def content_keys(storage: Storage, paths: Sequence[str]) -> list[bytes]:
    """Return a key of the bytes of each image."""
    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(lambda path: short_key(storage.read(path)), paths))


def short_key(content: bytes) -> bytes:
    """Return 32 characters that stand for some bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
