"""A side: `train` with the overrides of its command line, one epoch a turn, everything in an epoch included."""

import logging
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


class Gate(Checkpoint):
    """Wait for a turn before each epoch; its seconds end when the next one would begin: after scores and checkpoint."""

    def __init__(self) -> None:
        self.start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        tell(time.perf_counter() - self.start if self.start else 0.0)
        if not sys.stdin.readline():
            sys.exit()
        self.start = time.perf_counter()


if __name__ == "__main__":
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    wait_politely()
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_dir()), version_base="1.3"):
        gate = "+callbacks.gate._target_=side_train.Gate"
        quiet = ("print_config=false", "logger=none", "data.val_fraction=0", f"paths.output={folder}")
        train(compose("train", [*quiet, *sys.argv[1:], gate]), RunFolder(Path(folder)))
