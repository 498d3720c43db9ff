"""A side: the training loader alone, without workers, over the rows of a CSV; images a second.

After each turn the file `--memory` says how many MB the process had resident at most, and how many of its own it has
now: the first number counts pages of the resize cache too, which the system takes back when it needs them.
"""

import argparse
import itertools
import resource
import sys
import time
from pathlib import Path

from sides import serve

from polytag.data.csv import read_csv
from polytag.data.loaders import train_loader
from polytag.data.resize_cache import ResizeCache
from polytag.data.transforms import SideOn
from polytag.schedule.curves import OneCycle
from polytag.schedule.recipe import Phase


def peak_memory() -> float:
    """Return how many MB have been resident at most."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def own_memory() -> float:
    """Return how many MB are this process's own now, NaN where the system does not say so."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon:")), float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--memory", required=True)
    parser.add_argument("--cache")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--turn", type=int, required=True)
    given = parser.parse_args()
    table, transforms = read_csv(given.root, given.file), SideOn(presize=1.3)
    cache = ResizeCache(Path(given.cache)) if given.cache else None
    if cache is not None:
        presize = transforms.presized(given.size)
        assert presize is not None
        cache.fill(table, [presize])
    phase = Phase(given.size, 1, 1e-2, OneCycle())
    loader = train_loader(table, transforms, phase, given.batch, 0, cache=cache)
    epochs = itertools.count()

    def load_images() -> int:
        count = 0
        while count < given.turn:  # a small set for several epochs, a large one for the start of one
            loader.sampler.set_epoch(next(epochs))
            for batch in loader:
                count += len(batch.rows)
                if count >= given.turn:
                    break
        return count

    def turn() -> float:
        start = time.perf_counter()
        rate = load_images() / (time.perf_counter() - start)
        Path(given.memory).write_text(f"{peak_memory()} {own_memory()}")
        return rate

    serve(turn)


if __name__ == "__main__":
    main()
