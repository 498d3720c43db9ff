"""A side: our training loader over real images in one process, images a second a turn. Or, with --fill, the cache."""

import argparse
import itertools
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from sides import seconds, serve

from polytag.data.label_table import LabelTable, make_table
from polytag.data.loaders import train_loader
from polytag.data.resize_cache import ResizeCache
from polytag.data.streaming import read_shards
from polytag.data.transforms import Dihedral, SideOn
from polytag.schedule.curves import Constant
from polytag.schedule.recipe import Phase
from polytag.write_shards import write_shards

GROUPS = {"side_on": SideOn(presize=1.3), "dihedral": Dihedral(presize=1.3)}
SHARD = 4_000_000  # bytes: some hundred images


def table_of(folder: Path, count: int, place: Path) -> LabelTable:
    """Return a table of so many image files; where there are fewer, copies of the first ones make up for it."""
    files = sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))[:count]
    copies = [place / f"copy_{number}.jpg" for number in range(count - len(files))]
    for copy, file in zip(copies, itertools.cycle(files)):
        shutil.copyfile(file, copy)
    return make_table(place, [str(path.absolute()) for path in (*files, *copies)], [["a"]] * count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=513)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--transforms", choices=tuple(GROUPS), default="side_on")
    parser.add_argument("--source", choices=("files", "cache", "shards"), default="cache")
    parser.add_argument("--fill", action="store_true")
    given = parser.parse_args()
    transforms = GROUPS[given.transforms]
    with tempfile.TemporaryDirectory() as place:
        table = table_of(Path(given.images), given.count, Path(place))
        wanted = [transforms.presized(given.size)]
        if given.fill:
            folders = (Path(place) / f"cache_{number}" for number in itertools.count())
            serve(lambda: given.count / seconds(lambda: ResizeCache(next(folders)).fill(table, wanted)))
            return
        cache = ResizeCache(Path(place) / "cache") if given.source == "cache" else None
        if cache is not None:
            cache.fill(table, wanted)
        if given.source == "shards":
            write_shards(replace(table, names=table.paths), Path(place) / "shards", SHARD)
            table = read_shards(str(Path(place) / "shards"), "unused")
        loader = train_loader(table, transforms, Phase(given.size, 1, 1.0, Constant()), given.batch, 0, 0, cache=cache)
        images = sum(len(batch.rows) for batch in loader)
        serve(lambda: images / seconds(lambda: [None for _ in loader]))


if __name__ == "__main__":
    main()
