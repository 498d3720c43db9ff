"""What W&B gets beside the rows of numbers: axes, summaries, pictures, tables, checkpoints."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import wandb

from polytag.run_folder import RunFolder
from polytag.tracking.media import Media, Table


def define_curves(run: Any, directions: Mapping[str, str]) -> None:
    """Tell W&B what the curves are drawn over, and that the summary of a score is its best value.

    Args:
        run: The W&B run.
        directions: `max` or `min` by the full name of each score.
    """
    for name in ("epoch", "images_seen", "image_size"):
        run.define_metric(name)
    for pattern in ("train/*", "val/*", "val_raw/*", "frozen/*"):
        run.define_metric(pattern, step_metric="epoch")
    run.define_metric("train/loss_step", step_metric="trainer/global_step")
    run.define_metric("lr/*", step_metric="trainer/global_step")
    for name, direction in directions.items():
        run.define_metric(name, step_metric="epoch", summary=direction)


def watch(run: Any, network: Any, what: str, every: int) -> None:
    """Send histograms of the network's gradients or parameters, or of both, every so many steps."""
    run.watch(network, log=what, log_freq=every)


def send_media(run: Any, media: Media) -> None:
    """Send pictures and tables as one row."""
    pictures = {f"plots/{name}": wandb.Image(str(path)) for name, path in media.pictures.items()}
    tables = {f"tables/{name}": _table(table) for name, table in media.tables.items()}
    if pictures or tables:
        run.log(pictures | tables)


def send_scores(run: Any, scores: Mapping[str, float]) -> None:
    """Put the scores of the best checkpoint into the summary; an undefined one is left out."""
    run.summary.update({name: value for name, value in scores.items() if math.isfinite(value)})


def send_checkpoints(run: Any, folder: RunFolder, which: str, facts: Mapping[str, Any]) -> None:
    """Send the best checkpoint, or all, as an artifact named after the run.

    The files are read where they are, also by a later `wandb sync`: no copy is made.
    """
    artifact = wandb.Artifact(f"checkpoints-{run.id}", type="model", metadata=dict(facts))
    files = sorted(folder.checkpoint("best").parent.glob("best.ckpt" if which == "best" else "*.ckpt"))
    for file in files:
        artifact.add_file(str(file), name=file.name, policy="immutable")
    if files:  # with train=false there are none
        run.log_artifact(artifact, aliases=[which])


def _table(table: Table) -> wandb.Table:
    return wandb.Table(list(table.columns), [[_cell(value) for value in row] for row in table.rows])


def _cell(value: Any) -> Any:
    """Return an image as W&B's, an undefined number as none, anything else as it is."""
    if isinstance(value, np.ndarray):
        return wandb.Image(value, file_type="jpg")
    return None if isinstance(value, float) and not math.isfinite(value) else value
