"""`summary.json`: the last file of a run, and the proof that it is done."""

import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from polytag.data.label_table import TRAIN, LabelTable
from polytag.data.statistics import shares
from polytag.inference.loaded_run import read_checkpoint
from polytag.inference.scoring import Result
from polytag.run_folder import RunFolder

PACKAGES = ("polytag", "torch", "pytorch-lightning", "timm", "albumentations", "torchmetrics", "hydra-core", "numpy")


def summarise(
    config: DictConfig,
    folder: RunFolder,
    table: LabelTable,
    results: Mapping[str, Result],
    tta_scores: Mapping[str, Mapping[str, float]],
    total_seconds: float,
) -> dict[str, Any]:
    """Return the summary of a run.

    Args:
        config: The run's config.
        folder: The run, with its checkpoints.
        table: All rows.
        results: The results of each scored split.
        tta_scores: The scores of each split with test-time augmentation; empty without.
        total_seconds: Wall time so far, also of the processes that were interrupted.
    """
    callbacks = _callback_states(folder)
    timing = callbacks.get("Timing", {"seconds": {}, "images": 0})
    checkpoint = callbacks.get("RunCheckpoint", {"best": None, "best_epoch": None})
    seconds = {"total": total_seconds, **timing["seconds"]}
    return {
        "monitor": {
            "metric": config.monitor.metric,
            "mode": config.monitor.mode,
            "best": checkpoint["best"],
            "epoch": checkpoint["best_epoch"],
        },
        **{split: _full_names(split, result.scores) for split, result in results.items()},
        **{f"{split}_tta": _full_names(f"{split}_tta", scores) for split, scores in tta_scores.items()},
        "optimistic": {
            split: _full_names(split, result.optimistic)
            for split, result in results.items()
            if result.optimistic is not None
        },
        "baselines": {
            split: {name: _full_names(split, scores) for name, scores in result.baselines.items()}
            for split, result in results.items()
        },
        "undefined_classes": {split: list(result.undefined) for split, result in results.items()},
        "train_labels": dict(zip(table.classes, shares(table.part(TRAIN)).tolist(), strict=True)),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "images_per_second": round(timing["images"] / seconds["train"], 2) if seconds.get("train") else None,
        "tags": list(config.tags),
        "notes": config.notes,
        "versions": {name: version(name) for name in PACKAGES},
        "git_commit": git_commit(),
    }


def _full_names(split: str, scores: Mapping[str, float]) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in scores.items()}


def _callback_states(folder: RunFolder) -> dict[str, Any]:
    """Return what our callbacks left in the last checkpoint, also when they ran in another process."""
    last = folder.checkpoint("last")
    return dict(read_checkpoint(last).get("callbacks", {})) if last.exists() else {}


def git_commit() -> str | None:
    """Return the commit of the sources, or None where they are not in a git checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
