"""What a frozen phase costs: everything training, frozen with gradients on, frozen as Polytag does it.

    python benchmarks/frozen_forward.py --sizes 64 128 --rounds 5

The three are timed in turn in one process; a ratio is the median over the rounds of seconds against the first column.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from polytag.allocator import keep_freed_memory
from polytag.models.layer_groups import layer_groups
from polytag.models.network import Network, build_network
from polytag.schedule.freeze import freeze

HEADINGS = ("all groups", "frozen, gradients on", "frozen, no_grad")


def step(network: Network, images: torch.Tensor, targets: torch.Tensor, by_hand: bool) -> None:
    """Do forward and backward; perhaps by hand, which differs in `set_grad_enabled` only."""
    network.zero_grad(set_to_none=True)
    if by_hand:  # what happens without the no_grad of `Network.features`
        pixels = images.contiguous(memory_format=network.memory_format).float()
        features = network.backbone.forward_features((pixels - network.mean) / network.std)
        logits = network.head(network.head_inputs(features))
    else:
        logits = network(images)
    binary_cross_entropy_with_logits(logits, targets).backward()


def timed(run: Callable[[], None], steps: int) -> float:
    """Return seconds a step."""
    run()
    begin = time.perf_counter()
    for _ in range(steps):
        run()
    return (time.perf_counter() - begin) / steps


def main() -> None:
    """Print one row an image size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    keep_freed_memory()
    network = build_network(given.backbone, "none", "linear", 5)
    groups = layer_groups(network)
    print(f"{given.backbone}, batches of {given.batch}, {torch.get_num_threads()} threads")
    print(f"{'px':>5} {HEADINGS[0] + ', images/s':>24} " + " ".join(f"{heading:>24}" for heading in HEADINGS[1:]))
    for size in given.sizes:
        images = torch.randint(0, 256, (given.batch, 3, size, size), dtype=torch.uint8)
        targets = torch.rand(given.batch, 5).round()
        rounds = []
        for _ in range(given.rounds):
            seconds = []
            for frozen, by_hand in (((), False), (("early", "late"), True), (("early", "late"), False)):
                freeze(network, groups, frozen)
                seconds.append(timed(lambda b=by_hand, i=images, t=targets: step(network, i, t, b), given.steps))
            rounds.append(seconds)
        base = statistics.median(row[0] for row in rounds)
        ratios = [statistics.median(row[0] / row[i] for row in rounds) for i in (1, 2)]
        print(f"{size:>5} {given.batch / base:>24.0f} " + " ".join(f"{ratio:>23.2f}x" for ratio in ratios))


if __name__ == "__main__":
    main()
