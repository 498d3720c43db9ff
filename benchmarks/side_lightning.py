"""A side: Lightning alone on what `train` would build from the same overrides, one epoch a turn.

A module with nothing but a loss, and no callback but the one that waits for the turns: what is left to `train` is our
own code.
"""

import logging
import sys

import pytorch_lightning as pl
from side_bare import prepare
from side_train import Gate

from polytag.threads import wait_politely


class Plain(pl.LightningModule):
    """The network and its loss."""

    def __init__(self, classifier, optimizer):
        super().__init__()
        self.network, self.criterion, self.optimizer = classifier.network, classifier.criterion, optimizer

    def training_step(self, batch, batch_idx):
        return self.criterion(self.network(batch.images), batch.targets.float())

    def configure_optimizers(self):
        return self.optimizer


if __name__ == "__main__":
    wait_politely()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    classifier, optimizer, loader = prepare(sys.argv[1:])
    trainer = pl.Trainer(
        max_epochs=100_000,
        callbacks=[Gate()],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(Plain(classifier, optimizer), loader)
