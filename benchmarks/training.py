"""The whole of `train` against fastai's Learner: same network, images, size, batch and precision.

    python benchmarks/training.py --data MIML --rounds 5

Ours is an epoch of `train` with all that belongs to it (Lightning, scores, history, checkpoint), from the resize cache.
fastai's is its best setting on two cores. Both without validation. Where the head alone trains, fastai's frozen body
still trains its batch normalisation.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
from pathlib import Path

import peers
from sides import compare, load, ratio

HERE = Path(__file__).resolve().parent


def ours(given: argparse.Namespace, size: int, frozen: bool, cache: str) -> list[str]:
    return [
        *(sys.executable, str(HERE / "side_train.py"), "data=miml", f"data.root={given.data}"),
        *(f"data.limit={given.images}", f"data.batch_size={given.batch}", "data.cache=true", f"paths.cache={cache}"),
        *("data.batch_norm=train", "model.weights=none", "model.head=fastai", "data.num_workers=0"),
        *("recipe.epochs=[99,0]" if frozen else "recipe.epochs=[0,99]", f"recipe.image_sizes=[{size}]"),
    ]


def theirs(given: argparse.Namespace, size: int, frozen: bool) -> list[str]:
    images = ("--images", str(Path(given.data) / "images"), "--count", str(given.images + 1))
    rest = ("--size", str(size), "--batch", str(given.batch), *(["--frozen"] if frozen else []))
    return [peers.python(), str(HERE / "side_fastai.py"), *images, *rest]


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "miml"))
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"tf_efficientnet_lite0, batches of {given.batch}, images a second; {load()}")
    print(f"{'px':>4} {'trains':>8} {'polytag':>9} {'fastai':>9} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as cache:
        for size, frozen in itertools.product(given.sizes, (False, True)):
            commands = {"polytag": ours(given, size, frozen, cache), "fastai": theirs(given, size, frozen)}
            answers = compare(commands, given.rounds)
            rates = [given.images / second for second in answers["polytag"]]
            row = (statistics.median(rates), statistics.median(answers["fastai"]), ratio(rates, answers["fastai"]))
            print(
                f"{size:>4} {'head' if frozen else 'all':>8} {row[0]:>9.0f} {row[1]:>9.0f} {row[2]:>6.2f}x", flush=True
            )
    print(load())


if __name__ == "__main__":
    main()
