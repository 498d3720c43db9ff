"""Whether loading costs the same an image however many there are: images a second and memory at 1, 10, 100 times.

    python benchmarks/growth.py --data MIML --rounds 5

The large sets name the same photographs again, through links to their folder, so that each row is an image of its own
to the program and to its cache, while the files are as quick to read. The training loader runs alone, without workers,
each turn over the same number of images, the start of the epoch included. Memory is the most that was resident, the
filling of the cache included; `own` leaves out files mapped into memory, the cache above all. A process that reads a
stored image for the first time maps its pages, which costs a few per cent: `--turn 12800` does that before the rounds.
"""

import argparse
import csv
import os
import statistics
import sys
import tempfile
from pathlib import Path

from sides import compare, load, ratio

HERE = Path(__file__).resolve().parent


def write_sets(given: argparse.Namespace, folder: Path) -> None:
    """Write a CSV for each number of copies, and a link to the images for each copy."""
    images = Path(given.data).resolve() / "images"
    names = sorted(name for name in os.listdir(images) if name.lower().endswith((".jpg", ".jpeg", ".png")))
    names = names[: given.images]
    if len(names) < given.images:
        raise SystemExit(f"{images} has {len(names)} images, and --images {given.images} are wanted.")
    for copy in range(max(given.times)):
        (folder / f"copy_{copy}").symlink_to(images)
    for times in given.times:
        with open(folder / f"x{times}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "tags"))
            writer.writerows((f"copy_{copy}/{name}", "photo") for copy in range(times) for name in names)


def command(given: argparse.Namespace, folder: Path, times: int, cached: bool) -> list[str]:
    """Return the command of one side."""
    numbers = ("--size", str(given.size), "--batch", str(given.batch), "--turn", str(given.turn))
    files = ("--root", str(folder), "--file", f"x{times}.csv", "--memory", str(folder / f"memory_{times}"))
    cache = ("--cache", str(folder / f"cache_{times}")) if cached else ()
    return [sys.executable, str(HERE / "side_growth.py"), *files, *numbers, *cache]


def main() -> None:
    """Print one row a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "miml"))
    parser.add_argument("--images", type=int, default=128, help="of the smallest set")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--turn", type=int, default=2048, help="images that are loaded in a turn")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"training loader alone, {given.size} px, {given.turn} images a turn, {given.rounds} rounds; {load()}")
    print("goals, against the smallest set: images a second within 5 %, memory within 200 MB")
    header = f"{'reads':>7} {'rows':>8} {'images/s':>9} {'change':>8} {'peak MB':>8} {'change':>8} {'own MB':>8}"
    print(f"{header} {'change':>8}   goal")
    for reads, cached in (("files", False), ("cache", True)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_sets(given, folder)
            rates = compare({str(n): command(given, folder, n, cached) for n in given.times}, given.rounds)
            memory = {n: [float(x) for x in (folder / f"memory_{n}").read_text().split()] for n in given.times}
        first = given.times[0]
        for times in given.times:
            change = ratio(rates[str(times)], rates[str(first)]) - 1
            (peak, own), (peak_before, own_before) = memory[times], memory[first]
            row = f"{reads:>7} {given.images * times:>8,} {statistics.median(rates[str(times)]):>9.0f} {change:>+8.1%}"
            row += f" {peak:>8.0f} {peak - peak_before:>+8.0f} {own:>8.0f} {own - own_before:>+8.0f}"
            print(f"{row}   {'' if times == first else '5 %, 200 MB'}".rstrip(), flush=True)
    print(load())


if __name__ == "__main__":
    main()
