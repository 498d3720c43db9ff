"""What scores cost: intervals from 1,000 resamples, gathering outputs in each step, all scores at an epoch's end.

    OMP_NUM_THREADS=2 GOMP_SPINCOUNT=1000 python benchmarks/metrics_bootstrap.py --rounds 5

The second variable is what our commands set by themselves on few cores (`polytag.threads`): beside other busy processes
two threads that spin take ten times as long.

The first table bootstraps generated predictions. Beside it is the loop that one would write with scikit-learn, for mAP
and F2 on 20 resamples, multiplied to as many as ours. The two take turns in one process, and the ratio is that of each
round. The loop gets what it needs and nothing else: arrays, and the classes that have a positive.

The second table is what a training pays: `Outputs.update` in each step of 64 images and 20 classes, beside a step of
`--backbone` on such a batch, and the default scores of an epoch of the size of Planet's training images.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import hydra
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from sides import load, ratio, seconds
from sklearn.metrics import average_precision_score, fbeta_score
from torch.nn.functional import binary_cross_entropy_with_logits

from polytag.commands import conf_dir
from polytag.data.dataset import Batch
from polytag.metrics.bootstrap import bootstrap
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all
from polytag.models.classifier import Outputs
from polytag.models.network import build_network

SIZES = ((5_000, 20), (8_096, 17))  # the second: a fifth of Planet's training images
EPOCH = (40_479, 17)  # all of them
LOOP = 20


def metrics_of(name: str) -> Mapping[str, Score]:
    """Return the scores of a file in conf/metrics."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return dict(hydra.utils.instantiate(compose(f"metrics/{name}").metrics))


def generated(images: int, classes: int) -> Evaluation:
    """Return predictions that are often right, of labels that 1 to 40 % of the images have."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.linspace(0.01, 0.4, classes)
    targets = (torch.rand(images, classes, generator=generator) < shares).to(torch.int8)
    probabilities = torch.sigmoid(torch.randn(images, classes, generator=generator) + 3 * targets - 2)
    return Evaluation(probabilities, targets, probabilities >= 0.5)


def loop(evaluation: Evaluation) -> None:
    """Score mAP and F2 of 20 resamples with scikit-learn."""
    parts = (evaluation.probabilities, evaluation.targets, evaluation.decisions)
    probabilities, targets, decisions = (part.numpy() for part in parts)
    generator = np.random.default_rng(0)
    for _ in range(LOOP):
        rows = generator.integers(0, len(targets), len(targets))
        average_precision_score(targets[rows], probabilities[rows], average="macro")
        fbeta_score(targets[rows], decisions[rows], beta=2, average="samples", zero_division=0)


def compare(images: int, classes: int, given: argparse.Namespace) -> None:
    """Print one row of the first table."""
    metrics, evaluation = metrics_of("all"), generated(images, classes)
    two = {name: metrics[name] for name in ("map", "f2")}
    sides: dict[str, Callable[[], object]] = {
        "two": lambda: bootstrap(two, evaluation, given.resamples),
        "loop": lambda: loop(evaluation),
        "all": lambda: bootstrap(metrics, evaluation, given.resamples),
    }
    bootstrap(metrics, evaluation, 10)
    rounds = [{name: seconds(side) for name, side in sides.items()} for _ in range(given.rounds)]
    ours, every = ([one[name] for one in rounds] for name in ("two", "all"))
    theirs = [one["loop"] * given.resamples / LOOP for one in rounds]
    row = f"{images:>8,} {classes:>8} {spread(ours):>20} {spread(theirs):>20} {ratio(theirs, ours):>6.0f}x"
    print(f"{row} {spread(every):>20}", flush=True)


def spread(values: list[float], unit: str = "s") -> str:
    """Return the median with the least and the most."""
    return f"{statistics.median(values):.3g} {unit} ({min(values):.3g}-{max(values):.3g})"


def update_seconds(times: int = 200) -> float:
    """Return the seconds of one update of the outputs, as in a training step."""
    outputs, logits = Outputs(), torch.randn(64, 20, requires_grad=True)
    batch = Batch(torch.empty(64, 0), torch.zeros(64, 20, dtype=torch.int8), torch.arange(64))
    begin = time.perf_counter()
    for number in range(times):
        outputs.update(logits, batch, number)
    return (time.perf_counter() - begin) / times


def step_of(backbone: str, size: int) -> Callable[[], None]:
    """Return forward and backward pass of a batch, all groups in training."""
    network = build_network(backbone, "none", "linear", 20)
    images = torch.randint(0, 256, (64, 3, size, size), dtype=torch.uint8)
    targets = torch.rand(64, 20).round()

    def step() -> None:
        network.zero_grad(set_to_none=True)
        binary_cross_entropy_with_logits(network(images), targets).backward()

    step()
    return step


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=64, help="of its images")
    given = parser.parse_args()
    print(f"{given.resamples} resamples, {given.rounds} rounds, {torch.get_num_threads()} threads; {load()}")
    print(f"{'images':>8} {'classes':>8} {'map, f2':>20} {'scikit-learn':>20} {'ratio':>7} {'all of metrics=all':>20}")
    for images, classes in SIZES:
        compare(images, classes, given)
    step, predicted = step_of(given.backbone, given.size), generated(*EPOCH)
    parts = (predicted.probabilities, predicted.targets, predicted.decisions)
    few, many = metrics_of("default"), metrics_of("all")
    rounds = []
    for _ in range(given.rounds):
        ends = (seconds(lambda m=metrics: score_all(m, Evaluation(*parts))) for metrics in (few, many))
        rounds.append((update_seconds(), seconds(step), *ends))
    updates, steps, default, every = (list(column) for column in zip(*rounds, strict=True))
    print(f"Outputs.update, 64 x 20: {spread([1e6 * one for one in updates], 'us')}")
    print(f"a step of {given.backbone}, 64 images of {given.size} px: {spread([1e3 * one for one in steps], 'ms')}")
    print(f"so an update is {ratio(updates, steps):.4%} of a step")
    print(f"an epoch's end, {EPOCH[0]:,} x {EPOCH[1]}: default {spread(default)}, all {spread(every)}")
    print(load())


if __name__ == "__main__":
    main()
