"""The source `streaming`: labels of a data set in litdata's shards, and whether they fit and can be read."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polytag.data.csv import read_csv
from polytag.data.files import require_path
from polytag.data.label_table import LabelTable
from polytag.data.shard_cache import INDEX, Shard, ShardCache, cache_folder_of
from polytag.data.shards import Shards
from polytag.data.storage import LOCAL, REMOTE, is_remote
from polytag.errors import UserError


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
        import litdata  # noqa: F401  # only: is it there?
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
