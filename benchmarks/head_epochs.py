"""Features computed once: an epoch of the head against a frozen epoch, and a hundred epochs end to end.

    python benchmarks/head_epochs.py --data MIML --rounds 5
    python benchmarks/head_epochs.py --data MIML --rounds 5 --end-to-end

An epoch is one of `train recipe=linear_probe` with validation, scores and all. End to end are whole processes of `train
experiment=miml_keras` (VGG16 at 64 pixels, random weights) with an empty cache. Without precomputing a hundred epochs
would take hours, so their time follows from runs of one and of three epochs in the same round.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sides import SETTINGS, compare, load, ratio

HERE = Path(__file__).resolve().parent


def epochs(given: argparse.Namespace) -> None:
    """Print one row a network."""
    print(f"seconds an epoch at {given.size} px, batches of 64; {load()}")
    print(f"{'network':>20} {'frozen':>8} {'head':>8} {'ratio':>7}  (goal: 50x)")
    for model in ("efficientnet_lite0", "resnet18"):
        with tempfile.TemporaryDirectory() as cache:
            common = [
                *(sys.executable, str(HERE / "side_train.py"), "data=miml", f"data.root={given.data}"),
                *("data.val_fraction=0.2", "data.batch_size=64", f"paths.cache={cache}", f"model={model}"),
                *("model.weights=none", "recipe=linear_probe", f"recipe.image_size={given.size}", "recipe.epochs=99"),
                *("data.cache=true",),
            ]
            once = ("true", "false")
            answers = compare({word: [*common, f"recipe.precompute={word}"] for word in once}, given.rounds)
            frozen, head = (statistics.median(answers[word]) for word in ("false", "true"))
            print(
                f"{model:>20} {frozen:>8.2f} {head:>8.3f} {ratio(answers['false'], answers['true']):>6.0f}x", flush=True
            )


def process_seconds(given: argparse.Namespace, count: int, precompute: bool) -> float:
    """Return how long a whole `train` takes."""
    with tempfile.TemporaryDirectory() as place:
        command = [
            *(str(Path(sys.executable).with_name("train")), "experiment=miml_keras", f"data.root={given.data}"),
            *("model.weights=none", f"recipe.epochs={count}", f"recipe.precompute={str(precompute).lower()}"),
            *("print_config=false", "logger=none", f"paths.cache={place}/cache", f"hydra.run.dir={place}/run"),
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | SETTINGS)
        return time.perf_counter() - start


def end_to_end(given: argparse.Namespace) -> None:
    """Print one row a round, and the median of the ratios."""
    print(f"a probe of 100 epochs end to end, seconds; {load()}")
    print(f"{'1 epoch':>10} {'3 epochs':>10} {'100 epochs':>12} {'precomputed':>12} {'ratio':>7}  (goal: 30x)")
    ratios = []
    for _ in range(given.rounds):
        one, three, with_features = (process_seconds(given, *case) for case in ((1, False), (3, False), (100, True)))
        hundred = one + 99 * (three - one) / 2
        ratios.append(hundred / with_features)
        print(f"{one:>10.1f} {three:>10.1f} {hundred:>12.0f} {with_features:>12.1f} {ratios[-1]:>6.1f}x", flush=True)
    print(f"median ratio {statistics.median(ratios):.1f}x; {load()}")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "miml"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--end-to-end", action="store_true")
    given = parser.parse_args()
    (end_to_end if given.end_to_end else epochs)(given)


if __name__ == "__main__":
    main()
