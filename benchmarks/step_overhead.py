"""What Lightning, scores, history and checkpoints add to a bare training loop on the same network and loader.

    python benchmarks/step_overhead.py --data MIML --rounds 5

All sides train epochs of the same images in the same order, from the resize cache, in the same precision. The last row
is a network so small that what does not depend on the network can be seen: "ours" is `train` less Lightning alone.
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
    print(f"milliseconds a step of {given.batch} images; {load()}")
    header = f"{'network':>22} {'px':>4} {'trains':>7} {'bare':>7} {'Lightning':>10} {'train':>7}"
    print(f"{header} {'overhead':>9} {'ours':>6}")
    with tempfile.TemporaryDirectory() as cache:
        common = [
            *("data=miml", f"data.root={given.data}", f"data.limit={given.images}", f"data.batch_size={given.batch}"),
            *("data.cache=true", f"paths.cache={cache}", "data.num_workers=0"),
        ]
        tiny = ["model=resnet18", "model.backbone=test_resnet", "model.weights=none"]
        cases = (
            ("tf_efficientnet_lite0", given.size, "all", []),
            ("tf_efficientnet_lite0", given.size, "head", []),
            ("test_resnet", 32, "all", tiny),
        )
        for network, size, trains, model in cases:
            recipe = [f"recipe.image_sizes=[{size}]", f"recipe.epochs={'[0,99]' if trains == 'all' else '[99,0]'}"]
            commands = {
                name: [sys.executable, str(HERE / f"side_{name}.py"), *common, *model, *recipe]
                for name in ("bare", "lightning", "train")
            }
            answers = compare(commands, given.rounds)
            steps = -(-given.images // given.batch)
            bare, lightning, train = (1e3 * statistics.median(answers[name]) / steps for name in commands)
            pairs = zip(answers["train"], answers["lightning"], strict=True)
            ours = 1e3 * statistics.median(one - other for one, other in pairs) / steps
            over = ratio(answers["train"], answers["bare"]) - 1
            row = f"{network:>22} {size:>4} {trains:>7} {bare:>7.1f} {lightning:>10.1f} {train:>7.1f}"
            print(f"{row} {over:>9.1%} {ours:>6.2f}", flush=True)
    print(load())


if __name__ == "__main__":
    main()
