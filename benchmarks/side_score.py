"""A side: `train` with a linear probe, until the validation reaches a score; answers with its seconds.

The clock starts when everything is imported and ends with the epoch whose score is high enough; the caches are empty.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import Checkpoint
from sides import tell

from polytag.commands import conf_dir
from polytag.run_folder import RunFolder
from polytag.threads import wait_politely
from polytag.train import train


class Target(Checkpoint):
    """End the process once `val/map` is high enough."""

    def __init__(self, score: float, start: float) -> None:
        self.score, self.start = score, start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if float(trainer.callback_metrics["val/map"]) >= self.score:
            tell(time.perf_counter() - self.start)
            sys.stdout.flush()
            os._exit(0)


if __name__ == "__main__":
    wait_politely()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--score", type=float, required=True)
    given = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_dir()), version_base="1.3"):
        # What takes time to import is imported: the start of a program is another benchmark.
        import polytag.find_lr
        import polytag.models.feature_cache
        import polytag.tracking.plots  # noqa: F401

        target = {"score": given.score, "start": time.perf_counter()}
        overrides = [
            *("data=miml", f"data.root={given.data}", "data.batch_size=64", "print_config=false", "logger=none"),
            *("recipe=linear_probe", f"recipe.image_size={given.size}", "recipe.epochs=20"),
            *(f"paths.output={folder}", f"paths.cache={folder}/cache", "+callbacks.target._target_=side_score.Target"),
            *(f"+callbacks.target.{key}={value}" for key, value in target.items()),
        ]
        train(compose("train", overrides), RunFolder(Path(folder)))
    sys.exit(f"val/map stayed below {given.score}")
