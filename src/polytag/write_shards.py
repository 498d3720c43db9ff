"""`write-shards data=... out=FOLDER`: the images and labels of any source as shards, for data=streaming."""

import csv
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError, first_few

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from polytag.data.label_table import LabelTable

IMAGE, SPLIT = "image", "split"  # columns of labels.csv beside those of the classes


@command("write_shards")
def main(config: DictConfig) -> None:
    """Write the shards of a source."""
    from polytag import build, check_config

    check_config.check_keys(config, "write_shards")
    if OmegaConf.is_missing(config, "out"):
        raise UserError("out is not set: which new folder shall hold the shards? out=FOLDER")
    if "://" in str(config.out):
        raise UserError(f"out={config.out} must be a folder: copy it there with the storage's own tools afterwards.")
    if not isinstance(config.shard_mb, int | float) or not config.shard_mb > 0:
        raise UserError(f"shard_mb={config.shard_mb} must be a number above 0.")
    out = Path(str(config.out)).expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"out={out} exists already. Name a new folder.")
    build.absolute_paths(config)
    table = build.build_table(config.data)
    shards = write_shards(table, out, int(config.shard_mb * 1e6), config.seed)
    print(f"{len(table):,} images in {shards:,} shard{'s' * (shards > 1)}: {out}")
    print(f"To train on them: train data=streaming data.root={out}")


def write_shards(table: "LabelTable", out: Path, shard_bytes: int, seed: int = 0) -> int:
    """Write a table's images as litdata's shards, and its labels and splits beside them; all or nothing.

    The rows of each split come one split after the other, in random order: a training mixes only some shards at a time,
    and sources often list images by their label.

    Args:
        table: What to write.
        out: The new folder.
        shard_bytes: How large a shard becomes, about.
        seed: Of the order.

    Returns:
        The number of shards.

    Raises:
        UserError: Two images have the same name, a class has the name of a column, or an image cannot be read.
    """
    from polytag.data.shard_cache import INDEX
    from polytag.data.streaming import read_index, require_litdata
    from polytag.tracking.console import progress_bar

    require_litdata()
    from litdata.streaming import Cache

    _check_names(table)
    rows = order_of_rows(table, seed)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        cache = Cache(str(partial), chunk_bytes=shard_bytes)
        with progress_bar() as progress:
            bar = progress.add_task("Writing shards", total=len(rows))
            for position, row in enumerate(rows.tolist()):
                # Not as text: where it is the name of a file, litdata would store that file instead.
                cache[position] = {"image": encoded(table, row), "name": str(table.names[row]).encode()}
                progress.advance(bar)
        cache.done()
        cache.merge()
        _write_labels(table, rows, partial / "labels.csv")
        shards = len(read_index(partial / INDEX, str(partial)))
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return shards


def order_of_rows(table: "LabelTable", seed: int) -> "npt.NDArray[np.int64]":
    """Return the rows split by split, shuffled in each."""
    import numpy as np

    from polytag.data.label_table import SPLITS

    number = np.array([SPLITS.index(split) for split in table.split.tolist()])
    return np.lexsort((np.random.default_rng(seed).permutation(len(table)), number))


def encoded(table: "LabelTable", row: int) -> bytes:
    """Return the content of a row's file; as PNG where only this source knows how to make RGB of it."""
    import cv2

    from polytag.data.images import Decoder

    if table.decoder == Decoder():
        path = str(table.paths[row])
        try:
            return table.storage.read(path)
        except OSError as error:
            raise UserError(f"The image {table.storage.name(path)} cannot be read ({error.strerror}).") from error
    _, content = cv2.imencode(".png", cv2.cvtColor(table.read(row), cv2.COLOR_RGB2BGR))
    return content.tobytes()


def _check_names(table: "LabelTable") -> None:
    import numpy as np

    from polytag.data.csv import SPLIT_COLUMNS, TAG_COLUMNS

    names, counts = np.unique(table.names, return_counts=True)
    if (counts > 1).any():
        raise UserError(f"Two images have the same name: {first_few(names[counts > 1])}. Each needs its own.")
    if taken := {IMAGE, *TAG_COLUMNS, *SPLIT_COLUMNS} & set(table.classes):
        raise UserError(
            f"A class is called {first_few(sorted(taken))}, and labels.csv would read as another one. Rename it."
        )


def _write_labels(table: "LabelTable", rows: "npt.NDArray[np.int64]", file: Path) -> None:
    split = (SPLIT,) if all(table.split) else ()  # without one, whoever trains cuts one
    with open(file, "w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow([IMAGE, *split, *table.classes])
        for row in rows.tolist():
            writer.writerow([table.names[row], *(table.split[row] for _ in split), *table.targets[row].tolist()])


if __name__ == "__main__":
    main()
