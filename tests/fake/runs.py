"""Folders of runs that nobody trained, in the formats of real ones."""

import json
from pathlib import Path

import numpy as np
import yaml

from polytag.run_folder import csv_text, write_predictions

BACKBONES = ("resnet18", "resnet34", "tf_efficientnet_lite0")


def config_of(number, lr=0.01, backbone="resnet18", seed=0, **data):
    """Return a short config with the nodes that every run has."""
    return {
        "seed": seed,
        "tags": [],
        "notes": "",
        "monitor": {"metric": "val/map", "mode": "max"},
        "sweep": {"name": "fake", "number": number},
        "data": {"_target_": "polytag.data.csv.read_csv", "root": "gone", "exclusive_groups": [], **data},
        "model": {"_target_": "polytag.models.network.build_network", "backbone": backbone},
        "policy": {"_target_": "polytag.policy.fixed.FixedPolicy", "threshold": 0.5},
        "recipe": {"_target_": "polytag.schedule.recipes.one_stage", "epochs": 3, "lr": lr},
        "paths": {"output": f"somewhere/{number}"},
    }


def write_run(folder: Path, config, scores, losses=None, *, predictions=None, classes=None, images=None) -> Path:
    """Write a finished run whose epochs have these scores (val/map) and losses.

    Args:
        folder: Where to.
        config: Of the run.
        scores: One an epoch.
        losses: One an epoch; 1 minus the score if not given.
        predictions: Probabilities and targets; None: no predictions/val.csv.
        classes: Their names.
        images: Names of the images.
    """
    folder.mkdir(parents=True)
    losses = [1 - score for score in scores] if losses is None else losses
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    best = int(np.argmax(scores))
    summary = {
        "monitor": {"metric": "val/map", "mode": "max", "best": scores[best], "epoch": best},
        "val": {"val/map": scores[best], "val/f2": scores[best] / 2},
        "train_labels": dict.fromkeys(classes or (), 0.25),
        "seconds": {"total": 60.0},
        "images_per_second": 100.0,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    columns = ["epoch", "phase", "image_size", "frozen", "train/loss", "val/loss", "val/map"]
    rows = [
        [epoch, 0, 64, "", loss, loss, score] for epoch, (score, loss) in enumerate(zip(scores, losses, strict=True))
    ]
    (folder / "metrics.csv").write_text(csv_text(columns, [[str(cell) for cell in row] for row in rows]))
    (folder / "policy.json").write_text(json.dumps({"kind": "fixed", "thresholds": dict.fromkeys(classes or (), 0.5)}))
    (folder / "report.html").write_text("<!doctype html><title>report</title>")
    if predictions is not None:
        probabilities, targets = predictions
        names = images or [f"{row}.jpg" for row in range(len(targets))]
        write_predictions(folder / "predictions/val.csv", names, classes, probabilities, targets=targets)
    return folder


def make_runs(root: Path, count: int, epochs: int = 20, images: int = 200, classes: int = 10) -> None:
    """Write runs as of a random search over a rate, a backbone and a seed, which get better with the rate."""
    random = np.random.default_rng(0)
    names = [f"class {number}" for number in range(classes)]
    targets = (random.random((images, classes)) < 0.25).astype(np.int8)
    for number in range(count):
        lr, backbone = float(10 ** random.uniform(-4, -1)), BACKBONES[number % len(BACKBONES)]
        skill = 0.5 + 0.1 * np.log10(lr * 1e4) + 0.05 * (number % len(BACKBONES))
        noise = random.normal(0, 0.4, (images, classes))
        probabilities = np.clip(0.4 + 0.4 * skill * (2 * targets - 1) + noise, 0, 1).round(4).astype(np.float32)
        scores = [float(skill * (1 - 0.6 ** (epoch + 1)) + 0.01 * random.random()) for epoch in range(epochs)]
        config = config_of(number, lr, backbone, seed=number % 2)
        write_run(root / str(number), config, scores, predictions=(probabilities, targets), classes=names)
