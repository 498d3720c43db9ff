"""A run's results with random images and predictions, and what its report is made of."""

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from polytag.data.label_table import LabelTable
from polytag.inference.scoring import score
from polytag.metrics.decision_scores import f_beta
from polytag.metrics.ranking_scores import average_precision
from polytag.policy.cross_fit import Found
from polytag.policy.fixed import FixedPolicy
from polytag.run_folder import RunFolder
from polytag.schedule.curves import OneCycle
from polytag.schedule.recipes import one_stage
from polytag.tracking.report import Reported

NASTY = "<script>alert('&')</script>"
CLASSES = (NASTY, "b", "c")
METRICS = {"map": average_precision, "f2": f_beta}
SUMMARY = {
    "monitor": {"metric": "val/map", "mode": "max", "best": None, "epoch": None},
    "seconds": {"total": 61.5, "train": 30.0, "data_wait": 10.0, "validation": 5.0},
    "images_per_second": None,
    "versions": {"torch": "2"},
    "git_commit": None,
}
CONFIG = OmegaConf.create(
    {
        "seed": 3,
        "monitor": {"metric": "val/map", "mode": "max"},
        "tags": [NASTY, "second"],
        "notes": NASTY,
        "model": {"backbone": "resnet18"},
        "data": {"root": NASTY},
    }
)


def make_result(folder, rows, classes=CLASSES, side=48, files=None):
    """Return the result of images of noise; no image has the last class. With `files` rows share so many images."""
    generator = np.random.default_rng(0)
    paths = [str(folder / f"{number}.png") for number in range(files or rows)]
    for path in paths:
        Image.fromarray(generator.integers(0, 255, (side, side, 3), np.uint8)).save(path)
    targets = (generator.random((rows, len(classes))) < 0.4).astype(np.int8)
    targets[:, -1] = 0
    probabilities = np.clip(0.25 * targets + 0.7 * generator.random(targets.shape), 0, 1).astype(np.float32)
    names = np.array([f"{number}<&>.png" for number in range(rows)])
    table = LabelTable(np.resize(paths, rows), names, classes, targets, np.array(["val"] * rows))
    return score_again(table, probabilities)


def score_again(table, probabilities):
    """Return the result of probabilities for a table, at a threshold of one half."""
    shares = np.full(len(table.classes), 0.4)
    return score(table, probabilities, probabilities >= 0.5, None, FixedPolicy(), shares, METRICS)


def reported(folder, results, summary=SUMMARY, found=None):
    """Return what the report of a run in a folder is made of."""
    recipe = one_stage(64, 0.01, OneCycle(), epochs=2)
    return Reported(CONFIG, RunFolder(folder), recipe, METRICS, results, found or Found(FixedPolicy()), summary)


def add_history(folder):
    """Write the metrics.csv of two epochs."""
    for epoch in range(2):
        row = {"epoch": epoch, "phase": 0, "image_size": 64, "frozen": "", "train/loss": 0.5, "val/loss": 0.4}
        RunFolder(folder).append_history(row | {"val/map": 0.6 + epoch / 10})
