"""Seconds from images and labels to an mAP on MIML: a linear probe on computed features, and fastai's fine-tuning.

    python benchmarks/time_to_score.py --data MIML --rounds 5

Both start from the same ImageNet weights of tf_efficientnet_lite0 and validate on a fifth of the images after each
epoch, at 128 pixels. Ours starts with empty caches. Each round is a process a side, in turn; what
importing takes is on neither side.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import peers
import torch
from sides import Side, load

from polytag.models.network import build_network

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Print one row a round, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(Path(os.environ.get("POLYTAG_REAL_DATA", "data")) / "miml"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--score", type=float, default=0.915)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"seconds to val/map {given.score} on MIML at {given.size} px; {load()}")
    print(f"{'polytag':>9} {'fastai':>9} {'ratio':>7}  (goal: 0.15x)")
    with tempfile.TemporaryDirectory() as place:
        weights = f"{place}/weights.pth"
        torch.save(build_network("tf_efficientnet_lite0", "bundled", "linear", 5).backbone.state_dict(), weights)
        common = ["--data", given.data, "--size", str(given.size), "--score", str(given.score)]
        ours = [sys.executable, str(HERE / "side_score.py"), *common]
        theirs = [peers.python(), str(HERE / "side_fastai_score.py"), *common, "--weights", weights]
        ratios = []
        for _ in range(given.rounds):
            seconds = []
            for name, command in (("polytag", ours), ("fastai", theirs)):
                side = Side(name, command)
                seconds.append(side.first)
                side.close()
            ratios.append(seconds[0] / seconds[1])
            print(f"{seconds[0]:>9.1f} {seconds[1]:>9.1f} {ratios[-1]:>6.2f}x", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}x; {load()}")


if __name__ == "__main__":
    main()
