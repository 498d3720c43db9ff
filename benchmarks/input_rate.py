"""Augmented training images a second in one process: from the resize cache, files and shards, and the loaders of peers.

    python benchmarks/input_rate.py --data MIML --rounds 5

Ours are batches of uint8 images with crops, mirror and colour (side_on) or symmetries, rotation, zoom and light
(dihedral), drawn for each image. fastai's are float batches with its usual augmentation, drawn on the batch. The last
line is how long it takes to shrink and store 2,000 images, with all cores.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

import peers
from sides import compare, load, ratio

HERE = Path(__file__).resolve().parent
GOALS = {64: (2000, 5.0), 224: (340, 3.5)}  # images a second, and times fastai's


def main() -> None:
    """Print one row a size and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "miml"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    images = ("--images", str(Path(given.data) / "images"))
    ours = [sys.executable, str(HERE / "side_load.py"), *images]
    print(f"images a second in one process; {load()}")
    print(f"{'px':>4} {'side':>18} {'images/s':>9} {'over fastai':>12} {'goal':>15}")
    for size in given.sizes:
        at = ("--size", str(size))
        fastai = [peers.python(), str(HERE / "side_fastai.py"), *images, *at, "--batch", "64", "--only-load"]
        streams = [peers.python(), str(HERE / "side_streams.py")]
        commands = {
            "fastai": fastai,
            "litdata": [*streams, "litdata", *images, *at],
            "webdataset": [*streams, "webdataset", *images, *at],
            "files, side_on": [*ours, *at, "--source", "files"],
            "shards, side_on": [*ours, *at, "--source", "shards"],
            "cache, side_on": [*ours, *at],
            "cache, dihedral": [*ours, *at, "--transforms", "dihedral"],
        }
        rates = compare(commands, given.rounds)
        for name, rate in rates.items():
            goal = "{}/s, {:g}x".format(*GOALS[size]) if name.startswith("cache") and size in GOALS else ""
            over = ratio(rate, rates["fastai"])
            print(f"{size:>4} {name:>18} {statistics.median(rate):>9.0f} {over:>11.2f}x {goal:>15}", flush=True)
    filling = compare({"fill": [*ours, "--size", "128", "--count", "2000", "--fill"]}, given.rounds)["fill"]
    print(f"2,000 images shrunk for 128 px and stored in {2000 / statistics.median(filling):.2f} s (goal: 5 s)")
    print(load())


if __name__ == "__main__":
    main()
