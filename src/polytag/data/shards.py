"""Images in litdata's shards, read by their number.

The order of a training is ours and not that of litdata's own iteration: it depends on seed and epoch, not on the number
of workers, and a run can go on at any batch.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polytag.data.shard_cache import INDEX, Shard, ShardCache
from polytag.data.storage import Layout, content_keys, short_key
from polytag.errors import UserError

# How often a shard is fetched again that was deleted before it could be read.
ATTEMPTS = 10


class Shards:
    """The images of litdata's shards; the path of an image is the number of its sample.

    Args:
        root: What the user calls the data set.
        folder: Where index and shards are.
        shards: What the index lists.
        names: ``(N,)`` what the labels call each sample; one that has a field `name` must have the same.
        cache: Where the shards come from that are not in the folder; None where all are there.
        image_field: Which field of a sample is the image.
        window: How many shards a training mixes.
    """

    cure = "`check-data` lists the broken images: leave them out of the source, and write the shards again."

    def __init__(
        self,
        root: str,
        folder: Path,
        shards: Sequence[Shard],
        names: npt.NDArray[np.str_],
        cache: ShardCache | None = None,
        image_field: str | int = "image",
        window: int = 8,
    ) -> None:
        self.root, self.folder, self.shards, self.cache = root, folder, tuple(shards), cache
        self.names, self.image_field, self.window = names, image_field, window
        self.ends = np.cumsum([shard.samples for shard in self.shards])
        self._forget_process()

    def _forget_process(self) -> None:
        """Open files and locks belong to one process."""
        self._process, self._lock = os.getpid(), threading.Lock()
        self._dataset: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_process", "_dataset", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_process()

    def read(self, path: str) -> bytes:
        """Return the encoded image of a sample.

        Raises:
            UserError: Its shard cannot be fetched, it has no such field with an encoded image, or its name is not that
                which the labels give it.
        """
        sample = self._sample(int(path))
        wanted = self.names[int(path)]
        called = _text(sample.get("name", wanted)) if isinstance(sample, Mapping) else wanted
        if called != wanted and os.path.normpath(called.strip()) != wanted:  # as `read_csv` writes it
            raise UserError(
                f"Sample {self.name(path)} is {called}, and its line in the labels is {wanted}. There must "
                "be a line for each sample, in their order: bring back the file that `write-shards` wrote."
            )
        try:
            content = sample[self.image_field]
        except (KeyError, IndexError, TypeError):
            fields = ", ".join(sample) if isinstance(sample, Mapping) else f"a {type(sample).__name__}"
            raise UserError(
                f"{self.name(path)} has no field {self.image_field!r} (it has {fields}): name another data.image_field."
            ) from None
        if not isinstance(content, bytes | bytearray | memoryview):
            raise UserError(
                f"The field {self.image_field!r} of {self.name(path)} is a {type(content).__name__}, not the bytes of "
                "an image file. Write the shards with the content of the files, or with `write-shards`."
            )
        return bytes(content)

    def _sample(self, number: int) -> Any:
        if self._process != os.getpid():
            self._forget_process()
        file = self.shards[int(np.searchsorted(self.ends, number, side="right"))].file
        for _ in range(ATTEMPTS):
            if self.cache is not None:
                self.cache.fetch(file)
            with self._lock:  # litdata keeps the shard that was read last
                if self._dataset is None:
                    self._dataset = _open(self.folder, self.window)
                try:
                    return self._dataset[number]
                except FileNotFoundError:
                    self._dataset = None  # it would take this shard for open, and read on in the one before
            if self.cache is None:
                raise UserError(f"The shard {self.folder / file} is gone: copy it there again.")
        raise UserError(f"{self.folder / file} is deleted whenever it shall be read: raise data.shard_cache_gb.")

    def name(self, path: str) -> str:
        """Return the number and the place of a sample."""
        return f"{path} of {self.root}"

    def keys(self, paths: Sequence[str], by: str = "stat") -> list[bytes]:
        """Return a key of each sample; `stat` goes by its number, the index of the shards and the names in them."""
        if by == "content":
            return content_keys(self, paths)
        index, names = (self.folder / INDEX).read_bytes(), "\n".join(self.names.tolist())
        shards = short_key(index + names.encode()).decode()
        return [short_key(f"{self.root}\n{shards}\n{path}".encode()) for path in paths]

    def layout(self, paths: Sequence[str]) -> Layout:
        """Return the shard of each row."""
        shard = np.searchsorted(self.ends, np.array(paths, dtype=np.int64), side="right")
        return Layout(shard, self.window, self._want)

    def _want(self, shard: int) -> None:
        if self.cache is not None:
            self.cache.want(self.shards[shard].file)


def _text(field: Any) -> str:
    return bytes(field).decode(errors="replace") if isinstance(field, bytes | bytearray | memoryview) else str(field)


def _open(folder: Path, window: int) -> Any:
    """Open a folder of shards for reading samples by their number, one at a time."""
    from litdata import StreamingDataset
    from litdata.streaming.serializers import BytesSerializer

    # JPEG files come as they are, to be decoded at the size that is needed; pickled fields are never unpickled.
    as_they_are = dict.fromkeys(("jpeg", "pickle"), BytesSerializer())
    # As many shards stay mapped as are mixed.
    return StreamingDataset(str(folder), serializers=as_they_are, batch_decode=0, max_pre_download=max(2, window))
