"""Shards of litdata: a data set that is larger than a disk, in a folder or in object storage.

The order of a training is ours and not that of litdata's own iteration: it depends on seed and epoch, not on the number
of workers, and a run can go on at any batch.
"""

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polytag.data.csv import read_csv
from polytag.data.files import require_path
from polytag.data.label_table import LabelTable
from polytag.data.shard_cache import INDEX, Shard, ShardCache, cache_folder_of
from polytag.data.storage import LOCAL, REMOTE, Layout, content_keys, is_remote, short_key
from polytag.errors import UserError

# How often a shard is fetched again that was deleted before it could be read.
ATTEMPTS = 10


def read_shards(
    root: str,
    shard_cache: str,
    labels: str = "labels.csv",
    image_field: str | int = "image",
    window: int = 8,
    shard_cache_gb: float = 50.0,
    storage_options: Mapping[str, Any] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    separator: str = " ",
    classes: Sequence[str] | None = None,
    split_column: str | None = None,
) -> LabelTable:
    """Read the label table of a data set in litdata's shards. `conf/data/streaming.yaml` says what each argument means.

    Raises:
        UserError: litdata is not installed; there are no shards, some are missing, or they are of a kind that cannot be
            read; or the labels do not fit them.
    """
    require_litdata()
    for option, value in (("window", window), ("shard_cache_gb", shard_cache_gb)):
        if isinstance(value, str):
            raise UserError(f"data.{option}={value} must be a number.")
    if window < 1:
        raise UserError(f"data.window must be 1 or more, not {window}.")
    if "://" in root and not is_remote(root):
        raise UserError(f"data.root={root}: shards are read from folders and from {', '.join(REMOTE)}.")
    if is_remote(root):
        cache = ShardCache(root, cache_folder_of(Path(shard_cache), root), shard_cache_gb * 1e9, storage_options)
        cache.fetch_small(INDEX, labels)
        folder = cache.folder
        shards = read_index(folder / INDEX, root)
        _require_room(shards, window, shard_cache_gb)
        if root.startswith(LOCAL):
            _require_shards(Path(root.removeprefix(LOCAL)), shards)
        cache.sizes = {shard.file: shard.size for shard in shards}
    else:
        cache, folder = None, require_path(Path(root).expanduser(), "folder", "Correct data.root.")
        require_path(folder / INDEX, "index of shards", "`write-shards` and litdata's optimize() write one.")
        shards = read_index(folder / INDEX, root)
        _require_shards(folder, shards)
    table = read_csv(str(folder), labels, ".", image_column, label_column, separator, "", classes, split_column)
    samples = sum(shard.samples for shard in shards)
    if len(table) != samples:
        raise UserError(
            f"{labels} has {len(table):,} different images, and the shards in {root} have {samples:,} samples. "
            "It needs a line for each sample, in their order."
        )
    storage = Shards(root, folder, shards, table.names, cache, image_field, window)
    return replace(table, paths=np.arange(samples).astype(str), storage=storage)


def read_index(file: Path, root: str) -> tuple[Shard, ...]:
    """Read the index of shards.

    Raises:
        UserError: It is none, or one of shards that cannot be read here.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        config = content["config"]
        shards = tuple(Shard(c["filename"], int(c["chunk_bytes"]), int(c["chunk_size"])) for c in content["chunks"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{root}/{INDEX} is no index of litdata's shards: {error}.") from error
    for key in ("compression", "encryption"):
        if config.get(key):
            raise UserError(
                f"The shards in {root} have {key}={config[key]}. Write them without: images are compressed."
            )
    if (loader := config.get("item_loader") or "PyTreeLoader") != "PyTreeLoader":
        raise UserError(f"The shards in {root} are for litdata's {loader}; samples with an image field are needed.")
    return shards


def require_litdata() -> None:
    """Raise where litdata is not installed, and keep it from asking the network for its newest version."""
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
    for library in ("litdata", "botocore"):  # how they read, and with whose key, is no news
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        import litdata  # noqa: F401
    except ImportError as error:
        raise UserError("Shards need litdata, which `make setup` installs; else: pip install 'litdata<0.3'") from error


def _require_shards(folder: Path, shards: Sequence[Shard]) -> None:
    for shard in shards:
        file = folder / shard.file
        size = file.stat().st_size if file.exists() else None
        if size is None or size < shard.size:
            state = "missing" if size is None else f"cut short ({size:,} of {shard.size:,} bytes)"
            raise UserError(
                f"The shard {file} is {state}. Copy it again, or write the shards again with `write-shards`."
            )


def _require_room(shards: Sequence[Shard], window: int, limit_gb: float) -> None:
    """Refuse a cache that cannot hold what is read and what is fetched meanwhile."""
    largest = max(shard.size for shard in shards) / 1e9
    needed = min(sum(shard.size for shard in shards) / 1e9, 3 * window * largest)
    if limit_gb < needed:
        raise UserError(
            f"data.shard_cache_gb={limit_gb:g} is too little for data.window={window} shards of up to "
            f"{largest * 1e3:.3g} MB: {needed:.3g} are needed. Raise it, or mix fewer shards."
        )


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
