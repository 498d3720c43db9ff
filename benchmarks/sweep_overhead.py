"""What a sweep costs beside its trainings: seconds a job, beside Hydra's own sweeper.

    python benchmarks/sweep_overhead.py --jobs 40 --rounds 5

Both run the same grid in one process each, in turn, with trainings that only write their summary. The time of a job is
the difference between many jobs and one, so that imports and the plan's start do not count.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sides import load

SWEEPERS = {"hydra": "basic", "polytag": "polytag"}
# A training without any: what `train` leaves for its caller.
FAKE = """
import sys
from polytag import train
def fake(config, folder, job=None):
    folder.write_json(folder.summary_file, {"monitor": {"metric": "val/map", "best": 0.5, "epoch": None}, "val": {}})
train.train = fake
train.main()
"""


def seconds(sweeper: str, jobs: int, folder: Path) -> float:
    """Return how long a sweep of so many jobs takes as a whole process."""
    place = tempfile.mkdtemp(dir=folder)
    arguments = ["-m", f"hydra/sweeper={sweeper}", f"seed=range({jobs})", f"paths.logs={place}", "sweep.estimate=false"]
    data = [f"paths.data={folder}/data", "sweep.name=s", "model.weights=none", "print_config=false"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", FAKE, *arguments, *data], cwd=folder, capture_output=True, text=True, env=os.environ
    )
    if done.returncode or len(list(Path(place).glob("sweep/s/*/summary.json"))) != jobs:
        raise SystemExit(f"{sweeper} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def main() -> None:
    """Measure both sides in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in SWEEPERS}
    with tempfile.TemporaryDirectory() as place:
        seconds("polytag", 1, Path(place))  # makes the built-in data
        for _ in range(given.rounds):
            for name, sweeper in SWEEPERS.items():
                one, many = (seconds(sweeper, jobs, Path(place)) for jobs in (1, given.jobs))
                found[name].append((many - one) / (given.jobs - 1))
    for name, runs in found.items():
        print(f"{name:<8} {' '.join(f'{one:.3f}' for one in runs)}   median {statistics.median(runs):.3f} s a job")
    difference = statistics.median(found["polytag"]) - statistics.median(found["hydra"])
    print(f"overhead {difference:.3f} s a job, {given.jobs} jobs, {given.rounds} rounds; load {load()}")


if __name__ == "__main__":
    main()
