"""The LightningModule: one network, one step body; loss, metrics, policy and optimizer come from outside."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer
from torchmetrics import MeanMetric, Metric
from torchmetrics.utilities import dim_zero_cat

from polytag.data.dataset import Batch, FeatureBatch
from polytag.data.mixing import Mixing
from polytag.losses.known import soft_targets
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.scores import Score, score_all
from polytag.models.activations import activation_of
from polytag.models.average import WeightAverage
from polytag.models.layer_groups import parameter_groups
from polytag.models.network import Network
from polytag.policy import Policy


class Outputs(Metric):
    """Logits and targets of an epoch, gathered over all ranks, each row once.

    Loaders pad so that all ranks have equally many rows; the repeated ones are dropped here by their number, so
    scores are exact for any number of ranks. So are the images that class-aware sampling shows again: `train/*` scores
    count each image that was shown once, as it was seen first, while the loss counts it each time. Among these images
    rare labels are more frequent than in the data.
    """

    full_state_update = False
    STATES = ("logits", "targets", "rows", "batches")
    logits: list[torch.Tensor]
    targets: list[torch.Tensor]
    rows: list[torch.Tensor]
    batches: list[torch.Tensor]  # number of each row's batch in the epoch: which of two rows came first, on any rank

    def __init__(self) -> None:
        super().__init__()
        for name in self.STATES:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: torch.Tensor, batch: Batch | FeatureBatch, number: int) -> None:
        """Add a batch and its number."""
        self.logits.append(logits.detach().float())
        self.targets.append(batch.targets)
        self.rows.append(batch.rows)
        self.batches.append(torch.full_like(batch.rows, number))

    def collected(self) -> dict[str, torch.Tensor]:
        """Return what all ranks have collected so far, unsorted; nothing where there is nothing yet."""
        if not self.rows:
            return {}
        with self.sync_context():
            return {name: dim_zero_cat(getattr(self, name)).cpu() for name in self.STATES}

    def take_up(self, collected: Mapping[str, torch.Tensor]) -> None:
        """Go on from what an earlier process had collected."""
        for name, values in collected.items():
            setattr(self, name, [values.to(self.device)])

    def compute(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``(N, L)`` float32 logits and ``(N, L)`` int8 targets on the CPU, in the order of the rows."""
        logits, targets, rows, batches = (dim_zero_cat(getattr(self, name)).cpu() for name in self.STATES)
        order = torch.argsort(batches, stable=True)
        order = order[torch.argsort(rows[order], stable=True)]
        fresh = torch.ones_like(order, dtype=torch.bool)
        fresh[1:] = rows[order][1:] != rows[order][:-1]
        kept = order[fresh]
        return logits[kept], targets[kept]


class Classifier(pl.LightningModule):
    """A multi-label classifier in training.

    Args:
        network: uint8 images ``(B, 3, H, W)`` -> logits ``(B, L)``.
        criterion: Logits and float targets, both ``(B, L)``, NaN where unknown -> scalar loss.
        optimizer: Parameter groups -> optimizer.
        parameter_groups: All parameters, each group with its layer group's `name`; frozen ones too, from the start.
        metrics: Name -> score.
        policy: How probabilities become labels in the scores.
        monitor: Name of the metric that the progress bar shows.
        facts: What a checkpoint must say about itself: classes, image size and so on.
        mixing: MixUp and the like, applied to training batches.

    Attributes:
        average: The average of the weights where a callback keeps one. It is then what `val/*` scores and what the
            `state_dict` of a checkpoint holds; the weights in training have `val_raw/*` and `raw_state_dict`.
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
        mixing: Mixing | None = None,
    ) -> None:
        super().__init__()
        self.network: Network = network
        self.criterion, self.activation = criterion, activation_of(criterion)
        self._optimizer, self._parameter_groups = optimizer, parameter_groups
        self.metrics, self.policy, self.monitor, self.facts = metrics, policy, monitor, facts
        self.mixing = mixing or Mixing()
        self.average: WeightAverage | None = None
        self.train_outputs, self.val_outputs, self.val_raw_outputs = Outputs(), Outputs(), Outputs()
        self.train_loss = MeanMetric()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, L)`` of uint8 images ``(B, 3, H, W)``."""
        logits: torch.Tensor = self.network(images)
        return logits

    def training_step(self, batch: Batch | FeatureBatch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        targets = soft_targets(batch.targets)
        if isinstance(batch, FeatureBatch):
            logits = self.network.classify(batch.features)
        else:
            images, targets = self.mixing(batch.images, targets)
            logits = self(images)
        if not self.mixing.is_on:  # of a mixed image nobody can say what its labels are
            self.train_outputs.update(logits, batch, batch_idx)
        loss = self.criterion(logits, targets)
        self.train_loss.update(loss.detach(), weight=len(batch.targets))
        rhythm: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it outside
        if (
            batch_idx == 0 or (self.global_step + 1) % rhythm == 0
        ):  # when the progress bar takes it; else it costs time for nothing
            self.log("loss", loss.detach(), prog_bar=True, logger=False)
        return loss

    def validation_step(self, batch: Batch | FeatureBatch, batch_idx: int) -> None:
        """Collect the outputs of a batch, with an average of the weights from both."""
        if isinstance(batch, FeatureBatch):
            assert self.average is None, "an average has features of its own"
            self.val_outputs.update(self.network.classify(batch.features), batch, batch_idx)
            return
        logits = self(batch.images)
        if self.average is None:
            self.val_outputs.update(logits, batch, batch_idx)
        else:
            self.val_raw_outputs.update(logits, batch, batch_idx)
            self.val_outputs.update(self.average.network(batch.images), batch, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Forget what a validation that was broken off has left, and let all processes score the same network."""
        self.val_outputs.reset()
        self.val_raw_outputs.reset()
        if self.trainer.world_size > 1:  # each has running statistics of its own; checkpoints hold those of the first
            averaged = [] if self.average is None else self.average.network.buffers()
            for buffer in chain(self.network.buffers(), averaged):
                torch.distributed.broadcast(buffer, src=0)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation rows; the loss is taken over all of them at once."""
        stages = {"val": self.val_outputs} | ({"val_raw": self.val_raw_outputs} if self.average else {})
        for stage, outputs in stages.items():
            logits, targets = outputs.compute()
            loss = self.criterion(logits.to(self.device), soft_targets(targets.to(self.device)))
            self._log_scores(stage, {"loss": float(loss)}, logits, targets)

    def on_train_epoch_end(self) -> None:
        """Log the scores of the training rows as they were seen: augmented, while the weights changed."""
        losses = {"loss": float(self.train_loss.compute())}
        self.train_loss.reset()
        if self.mixing.is_on:
            self.log("train/loss", losses["loss"], logger=False)
            return
        logits, targets = self.train_outputs.compute()
        self.train_outputs.reset()
        self._log_scores("train", losses, logits, targets)

    def _log_scores(self, stage: str, losses: dict[str, float], logits: torch.Tensor, targets: torch.Tensor) -> None:
        probabilities = self.activation(logits)
        scores = losses | score_all(self.metrics, Evaluation(probabilities, targets, self.policy.decide(probabilities)))
        for name, value in scores.items():
            full = f"{stage}/{name}"
            # Loggers get them with the rest of the epoch's row: see `polytag.callbacks.history`.
            self.log(full, value, prog_bar=full in (self.monitor, "val/loss"), logger=False)

    def configure_model(self) -> None:
        """Share the weights out among the processes, with trainer=fsdp; the optimizer then has the shares."""
        if self.device_mesh is None:
            return
        from polytag.sharding import shard

        shard(self.network, self.device_mesh["data_parallel"])
        self._parameter_groups = parameter_groups(self.network)

    def configure_optimizers(self) -> Optimizer:
        """Build the one optimizer, with all layer groups from step 0."""
        return self._optimizer([dict(group) for group in self._parameter_groups])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to use the file without its run folder, and to go on in the middle of an epoch."""
        checkpoint["polytag"] = self.facts(self.current_epoch)
        with self.train_loss.sync_context():
            loss = {name: getattr(self.train_loss, name).cpu() for name in ("mean_value", "weight")}
        checkpoint["epoch_so_far"] = {"outputs": self.train_outputs.collected(), "loss": loss}
        if self.average is not None:
            averaged = {f"network.{name}": tensor for name, tensor in self.average.state_dict().items()}
            checkpoint["raw_state_dict"] = checkpoint["state_dict"]
            checkpoint["state_dict"] = checkpoint["state_dict"] | averaged
            checkpoint["average_steps"] = self.average.steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where the checkpoint was written. The sums of an unfinished epoch, of all ranks, go to the first."""
        if self.trainer.is_global_zero:
            self.train_outputs.take_up(checkpoint["epoch_so_far"]["outputs"])
            for name, value in checkpoint["epoch_so_far"]["loss"].items():
                setattr(self.train_loss, name, value.to(self.train_loss.device))
        raw = checkpoint.get("raw_state_dict")
        if self.average is not None:
            self.average.load(network_weights(checkpoint["state_dict"]), int(checkpoint.get("average_steps", 0)))
        if raw is not None:
            checkpoint["state_dict"] = raw


def network_weights(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the network's part of a checkpoint's weights, under the network's own names."""
    prefix = "network."
    return {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
