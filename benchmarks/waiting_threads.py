"""Training steps a second with and without `polytag.threads.wait_politely`, alone and beside another busy process.

    python benchmarks/waiting_threads.py --rounds 3

Each measurement is a process of its own, because OpenMP reads its settings once. They take turns.
With `--rounds 5 --steps 8` on two cores: 0.98 times as many images a second alone, 1.52 times beside a busy process.
"""

import argparse
import os
import statistics
import subprocess
import sys

STEPS = """
import sys, time
import torch
from polytag.models.network import build_network
size, batch, steps = map(int, sys.argv[1:])
network = build_network("tf_efficientnet_lite0", "none", "linear", 5)
images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
def step():
    network.zero_grad()
    network(images).sum().backward()
step()
begin = time.perf_counter()
for _ in range(steps):
    step()
print(steps * batch / (time.perf_counter() - begin))
"""
BUSY = "while True: pass"


def images_a_second(given: argparse.Namespace, spins: str | None) -> float:
    """Train for a few steps in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    if spins is not None:
        environment["GOMP_SPINCOUNT"] = spins
    command = [sys.executable, "-c", STEPS, str(given.size), str(given.batch), str(given.steps)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print one row a situation: images a second as OpenMP is, and politely, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{'':>24} {'as it is':>10} {'politely':>10} {'ratio':>7}")
    for title, others in (("alone", 0), ("beside a busy process", 1)):
        crowd = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(others)]
        try:
            pairs = [(images_a_second(given, None), images_a_second(given, "1000")) for _ in range(given.rounds)]
        finally:
            for process in crowd:
                process.kill()
                process.wait()
        plain, polite = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{title:>24} {plain:>10.1f} {polite:>10.1f} {statistics.median(p / a for a, p in pairs):>6.2f}x")


if __name__ == "__main__":
    main()
