"""`clean-cache`: what is in the cache folder, and room for more."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from polytag.commands import command
from polytag.data.cache_folder import StoredSegment, delete_segment, list_segments
from polytag.errors import UserError
from polytag.tracking.console import wide_console


@command("clean_cache")
def main(config: DictConfig) -> None:
    """Print the stores, and delete segments until the cache is small enough."""
    from polytag import check_config

    check_config.check_keys(config, "clean_cache")
    if config.keep_gb is not None and not (isinstance(config.keep_gb, int | float) and config.keep_gb >= 0):
        raise UserError(f"keep_gb={config.keep_gb} must be a number from 0, or null to delete nothing.")
    folder = Path(config.paths.cache).expanduser().absolute()
    segments = list_segments(folder)
    print_stores(folder, segments)
    if config.keep_gb is None:
        return
    doomed = least_recently_used(segments, int(config.keep_gb * 1e9))
    for segment in doomed:
        delete_segment(segment)
    deleted, total = (sum(segment.size for segment in some) / 1e9 for some in (doomed, segments))
    print(f"Deleted {deleted:.3g} of {total:.3g} GB.")


def least_recently_used(segments: Iterable[StoredSegment], keep: int) -> list[StoredSegment]:
    """Return the segments to delete, so that those that were used last remain, with at most `keep` bytes."""
    kept, doomed = 0, []
    for segment in sorted(segments, key=lambda one: one.used, reverse=True):
        kept += segment.size
        if kept > keep:
            doomed.append(segment)
    return doomed


def print_stores(folder: Path, segments: list[StoredSegment]) -> None:
    """Print a line a store."""
    table = Table(title=f"{folder}: {sum(segment.size for segment in segments) / 1e9:.3g} GB")
    for heading in ("store", "arrays", "GB", "last used"):
        is_name = heading == "store"
        table.add_column(heading, justify="left" if is_name else "right", no_wrap=not is_name, overflow="fold")
    for store in sorted({segment.file.parent for segment in segments}):
        own = [segment for segment in segments if segment.file.parent == store]
        used = datetime.fromtimestamp(max(segment.used for segment in own))
        size = sum(segment.size for segment in own) / 1e9
        table.add_row(
            store.name, f"{sum(segment.arrays for segment in own):,}", f"{size:.3g}", f"{used:%Y-%m-%d %H:%M}"
        )
    wide_console().print(table)


if __name__ == "__main__":
    main()
