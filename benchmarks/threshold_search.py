"""Seconds to find thresholds on one core, beside a grid of 1,000 thresholds a class, each one's F1 counted with numpy.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/threshold_search.py

The small table has Planet's labels where POLYTAG_REAL_DATA names a folder with them, else as many that are drawn; the
large one has a million images of 80 classes. Probabilities are drawn from two Beta distributions. All have the same
tables and take turns. On the large table the grid is timed on two classes and counted up to 80.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sides import load, ratio, seconds

from polytag.data.planet import read_planet
from polytag.policy.f_measure import FMeasure
from polytag.policy.line_search import class_thresholds, common_threshold
from polytag.policy.threshold_search import ClassThresholds

GRID = np.linspace(0, 1, 1000, endpoint=False)
PLANET = Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "planet"


def drawn_labels(images: int, classes: int) -> np.ndarray:
    """Return ``(N, L)`` int8 targets: half of the images have the first label, one in a thousand has the last."""
    rng = np.random.default_rng(0)
    targets = np.empty((images, classes), np.int8)
    for column, frequency in enumerate(np.geomspace(0.5, 0.001, classes)):
        targets[:, column] = rng.random(images) < frequency
    return targets


def drawn_probabilities(targets: np.ndarray) -> np.ndarray:
    """Return ``(N, L)`` float32 probabilities, column by column: of labels that are there mostly above 0.5."""
    rng = np.random.default_rng(1)
    probabilities = np.empty(targets.shape, np.float32)
    for column, truth in zip(probabilities.T, targets.T, strict=True):
        column[:] = np.where(truth, rng.beta(4, 2, len(truth)), rng.beta(1, 8, len(truth)))
    return probabilities


def grid(probabilities: np.ndarray, targets: np.ndarray) -> list[float]:
    """Return the threshold of each class with the highest F1 on the grid."""
    found = []
    for own, truth in zip(np.ascontiguousarray(probabilities.T), np.ascontiguousarray(targets.T == 1), strict=True):
        positives, scores = truth.sum(), []
        for threshold in GRID:
            given = own >= threshold
            scores.append(2 * (given & truth).sum() / max(given.sum() + positives, 1))
        found.append(float(GRID[np.argmax(scores)]))
    return found


def searches(probabilities: np.ndarray, targets: np.ndarray, averages: list[str]) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    timed: dict[str, Callable[[], object]] = {
        "each class, macro": lambda: class_thresholds(probabilities, targets, FMeasure())
    }
    for average in averages:
        timed[f"one for all, {average}"] = lambda a=average: common_threshold(probabilities, targets, FMeasure(1, a))
        search = ClassThresholds(average=average)
        timed[f"policy=per_class, {average}"] = lambda s=search: s.find(probabilities, targets)
    return timed


def report(title: str, targets: np.ndarray, averages: list[str], grid_classes: int, rounds: int) -> None:
    """Print one row a search."""
    probabilities = drawn_probabilities(targets)
    part, share = (probabilities[:, :grid_classes], targets[:, :grid_classes]), targets.shape[1] / grid_classes
    timed = {"grid, each class": lambda: grid(*part)} | searches(probabilities, targets, averages)
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, run in timed.items():
            taken[name].append(seconds(run) * (share if name.startswith("grid") else 1))
    for name, times in taken.items():
        over = ratio(taken["grid, each class"], times)
        print(f"{title:>24} {name:>26} {statistics.median(times):>9.3f} {over:>11.1f}x", flush=True)


def main() -> None:
    """Print one row a table and search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000, help="of the large table; 0 leaves it out")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(load())
    print(f"{'table':>24} {'search':>26} {'seconds':>9} {'under grid':>12}")
    is_real = (PLANET / "train_v2.csv").is_file()
    small = read_planet(str(PLANET)).targets if is_real else drawn_labels(40_479, 17)
    title = f"{'Planet' if is_real else 'drawn'} {len(small):,} x {small.shape[1]}"
    report(title, small, ["macro", "micro", "images"], small.shape[1], given.rounds)
    if given.images:
        large = drawn_labels(given.images, given.classes)
        report(f"drawn {given.images:,} x {given.classes}", large, ["macro"], min(2, given.classes), given.rounds)
    print(load())


if __name__ == "__main__":
    main()
