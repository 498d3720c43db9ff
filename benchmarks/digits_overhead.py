"""The whole of `train` on the built-in digits against a plain loop that takes the same steps: whole processes, in turn.

    python benchmarks/digits_overhead.py --rounds 5
    python benchmarks/digits_overhead.py --rounds 1 --overrides data.limit=200 'recipe.epochs=[1,1]'

Both start up, read the same samples in the same order and validate after each epoch. `train` also scores, draws,
reports and keeps checkpoints. The scores are the validation mAP, which should agree.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sides import SETTINGS, load, ratio

from polytag.threads import wait_politely

HERE = Path(__file__).resolve().parent


def run(command: list[str]) -> tuple[float, str]:
    """Run a process; return its wall seconds and its output."""
    start = time.perf_counter()
    done = subprocess.run(command, env=os.environ | SETTINGS, capture_output=True, text=True)
    took = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return took, done.stdout


def scores_of_train(folder: str) -> dict[str, float]:
    """Return the mAP of the last epoch and of the best checkpoint of a run."""
    summary = json.loads(Path(folder, "summary.json").read_text())
    with open(Path(folder, "metrics.csv"), newline="") as file:
        last = list(csv.DictReader(file))[-1]
    return {
        "last": float(last["val/map"]),
        "best": float(summary["val"]["val/map"]),
        "epoch": summary["monitor"]["epoch"],
    }


def main() -> None:
    """Print one row a side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--overrides", nargs="*", default=[], help="for both sides, such as data.limit=200")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    wait_politely()  # as `train` does by itself; both sides inherit it
    what = " ".join(["train", *given.overrides])
    print(f"{what} on the digits, whole processes, median of {given.rounds} rounds; {load()}", flush=True)
    seconds: dict[str, list[float]] = {"bare": [], "train": []}
    scores: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        common = (f"paths.data={folder}/data", *given.overrides)
        train = [str(Path(sys.executable).with_name("train")), "print_config=false", *common]
        run([*train, f"hydra.run.dir={folder}/dry", "dry_run=true"])  # composes the scenes
        for number in range(given.rounds):
            took, output = run([sys.executable, str(HERE / "bare_digits.py"), *common])
            seconds["bare"].append(took)
            scores["bare"] = json.loads(output.splitlines()[-1])
            place = f"{folder}/run_{number}"
            took, _ = run([*train, f"hydra.run.dir={place}"])
            seconds["train"].append(took)
            scores["train"] = scores_of_train(place)
    header = f"{'':>6} {'seconds':>9} {'lowest':>8} {'highest':>8} {'ratio':>7}"
    print(f"{header} {'mAP last':>9} {'best':>8} {'epoch':>6}   goal")
    for name, values in seconds.items():
        row = f"{name:>6} {statistics.median(values):>9.1f} {min(values):>8.1f} {max(values):>8.1f}"
        over = ratio(values, seconds["bare"])
        found = scores[name]
        row += f" {over:>6.2f}x {found['last']:>9.5f} {found['best']:>8.5f} {found['epoch']:>6.0f}"
        print(f"{row}   {'<= 1.3x' if name == 'train' else ''}".rstrip())
    print(load())


if __name__ == "__main__":
    main()
