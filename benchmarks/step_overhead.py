"""What Lightning, scores, history and checkpoints add to a bare training loop on the same network and loader.

    python benchmarks/step_overhead.py --data MIML --rounds 5

Both sides train epochs of the same images in the same order, from the resize cache, in the same precision.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from sides import compare, load, ratio

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "miml"))
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"tf_efficientnet_lite0 at {given.size} px, batches of {given.batch}; {load()}")
    print(f"{'trains':>8} {'bare, ms a step':>16} {'train, ms a step':>17} {'overhead':>9} {'ms':>6}")
    with tempfile.TemporaryDirectory() as cache:
        common = [
            *("data=miml", f"data.root={given.data}", f"data.limit={given.images}", f"data.batch_size={given.batch}"),
            *("data.cache=true", f"paths.cache={cache}", "data.num_workers=0", f"recipe.image_sizes=[{given.size}]"),
        ]
        for trains, epochs in (("all", "[0,99]"), ("head", "[99,0]")):
            commands = {
                name: [sys.executable, str(HERE / f"side_{name}.py"), *common, f"recipe.epochs={epochs}"]
                for name in ("bare", "train")
            }
            answers = compare(commands, given.rounds)
            steps = -(-given.images // given.batch)
            bare, train = (1e3 * statistics.median(answers[name]) / steps for name in ("bare", "train"))
            over = ratio(answers["train"], answers["bare"]) - 1
            print(f"{trains:>8} {bare:>16.1f} {train:>17.1f} {over:>9.1%} {over * bare:>6.1f}", flush=True)
    print(load())


if __name__ == "__main__":
    main()
