"""The folder of all stores: what is in it, and whether there is room for more."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polytag.data.array_store import DAMAGE, INDEX, arrays_of
from polytag.errors import UserError


class StoredSegment(NamedTuple):
    """A segment as a whole: its index file, how many arrays and bytes it has, when it was last used (Unix time)."""

    file: Path
    arrays: int
    size: int
    used: float


def list_segments(folder: Path) -> list[StoredSegment]:
    """Return the segments of all stores in a folder."""
    listed = []
    for index in sorted(folder.glob(f"*/*{INDEX}")):
        try:
            with np.load(index) as content:
                arrays = len(content["keys"])
        except DAMAGE:
            arrays = 0
        size = sum(file.stat().st_size for file in (index, arrays_of(index)) if file.exists())
        listed.append(StoredSegment(index, arrays, size, index.stat().st_mtime))
    return listed


def delete_segment(segment: StoredSegment) -> None:
    """Delete a segment. Whoever has it mapped can go on reading."""
    segment.file.unlink(missing_ok=True)
    arrays_of(segment.file).unlink(missing_ok=True)


def require_room(folder: Path, needed: float, limit_gb: float, what: str, otherwise: str, there: float = 0.0) -> None:
    """Refuse to write more below a folder than its limit or the disk allows.

    Args:
        folder: The cache.
        needed: Bytes to be written.
        limit_gb: How large the folder may become, in 10^9 bytes.
        what: What is to be written, for people.
        otherwise: How to go on without it.
        there: Bytes of the same that are written already, and needed too.

    Raises:
        UserError: The room that it takes, the room there is, and what to do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    used, free = folder_bytes(folder), shutil.disk_usage(folder).free
    take = f"{what} take about {needed / 1e9:.3g} GB"
    if needed > free:
        raise UserError(f"{take}, and the disk of {folder} has {free / 1e9:.3g} GB left. To go without: {otherwise}")
    if there + needed > limit_gb * 1e9:
        whole = f"{what} take about {(there + needed) / 1e9:.3g} GB in all"
        raise UserError(f"{whole}, more than data.cache_gb={limit_gb:g}. Raise it, or go without: {otherwise}")
    if used + needed > limit_gb * 1e9:
        raise UserError(
            f"{take}; with the {used / 1e9:.3g} GB that are in {folder} that is more than data.cache_gb={limit_gb:g}. "
            f"Raise it, or delete what has not been used for longest (clean-cache "
            f"keep_gb={max(0.0, limit_gb - needed / 1e9):.3g}), or go without: {otherwise}"
        )


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total
