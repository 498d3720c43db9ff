"""The LightningModule: one network, one step body; loss, metrics, policy and optimizer come from outside."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer
from torchmetrics import MeanMetric, Metric
from torchmetrics.utilities import dim_zero_cat

from polytag.data.dataset import Batch
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all
from polytag.models.network import Network
from polytag.policy import Policy


class Outputs(Metric):
    """Logits and targets of an epoch, gathered over all ranks, each row once.

    Loaders pad so that all ranks have equally many rows; the repeated ones are dropped here by their number, so
    scores are exact for any number of ranks.
    """

    full_state_update = False
    logits: list[torch.Tensor]
    targets: list[torch.Tensor]
    rows: list[torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("logits", "targets", "rows"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: torch.Tensor, batch: Batch) -> None:
        """Add a batch."""
        self.logits.append(logits.detach().float())
        self.targets.append(batch.targets)
        self.rows.append(batch.rows)

    def compute(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``(N, L)`` float32 logits and ``(N, L)`` uint8 targets on the CPU, in the order of the rows."""
        logits, targets, rows = (dim_zero_cat(state).cpu() for state in (self.logits, self.targets, self.rows))
        order = torch.argsort(rows, stable=True)
        fresh = torch.ones_like(order, dtype=torch.bool)
        fresh[1:] = rows[order][1:] != rows[order][:-1]
        kept = order[fresh]
        return logits[kept], targets[kept]


class Classifier(pl.LightningModule):
    """A multi-label classifier in training.

    Args:
        network: uint8 images ``(B, 3, H, W)`` -> logits ``(B, L)``.
        criterion: Logits and float targets, both ``(B, L)`` -> scalar loss.
        optimizer: Parameter groups -> optimizer.
        parameter_groups: All parameters, each group with its layer group's `name`; frozen ones too, from the start.
        metrics: Name -> score.
        policy: How probabilities become labels in the scores.
        monitor: Name of the metric that the progress bar shows.
        facts: What a checkpoint must say about itself: classes, image size and so on.
    """

    def __init__(
        self,
        network: Network,
        criterion: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        parameter_groups: Sequence[dict[str, Any]],
        metrics: Mapping[str, Score],
        policy: Policy,
        monitor: str = "val/map",
        facts: Callable[[int], dict[str, Any]] = lambda epoch: {},
    ) -> None:
        super().__init__()
        self.network: Network = network
        self.criterion = criterion
        self._optimizer, self._parameter_groups = optimizer, parameter_groups
        self.metrics, self.policy, self.monitor, self.facts = metrics, policy, monitor, facts
        self.train_outputs, self.val_outputs = Outputs(), Outputs()
        self.train_loss = MeanMetric()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, L)`` of uint8 images ``(B, 3, H, W)``."""
        logits: torch.Tensor = self.network(images)
        return logits

    def _step(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        logits = self(batch.images)
        outputs.update(logits, batch)
        return self.criterion(logits, batch.targets.float())

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        loss = self._step(batch, self.train_outputs)
        self.train_loss.update(loss.detach(), weight=len(batch.images))
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the outputs of a batch."""
        self._step(batch, self.val_outputs)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation rows; the loss is taken over all of them at once."""
        logits, targets = self.val_outputs.compute()
        self.val_outputs.reset()
        loss = self.criterion(logits.to(self.device), targets.to(self.device).float())
        self._log_scores("val", {"loss": float(loss)}, logits, targets)

    def on_train_epoch_end(self) -> None:
        """Log the scores of the training rows as they were seen: augmented, while the weights changed."""
        logits, targets = self.train_outputs.compute()
        loss = float(self.train_loss.compute())
        self.train_outputs.reset()
        self.train_loss.reset()
        self._log_scores("train", {"loss": loss}, logits, targets)

    def _log_scores(self, stage: str, losses: dict[str, float], logits: torch.Tensor, targets: torch.Tensor) -> None:
        probabilities = logits.sigmoid()
        scores = losses | score_all(self.metrics, Evaluation(probabilities, targets, self.policy.decide(probabilities)))
        for name, value in scores.items():
            full = f"{stage}/{name}"
            self.log(full, value, prog_bar=full in (self.monitor, "val/loss"))

    def configure_optimizers(self) -> Optimizer:
        """Build the one optimizer, with all layer groups from step 0."""
        return self._optimizer([dict(group) for group in self._parameter_groups])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write into the checkpoint what is needed to use it without its run folder."""
        checkpoint["polytag"] = self.facts(self.current_epoch)
