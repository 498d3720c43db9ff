"""From the config to what runs the training: Lightning's trainer with its callbacks, or one device by itself."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from polytag.build import build, wanted
from polytag.errors import UserError
from polytag.run_folder import RunFolder
from polytag.schedule.recipe import Recipe

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from polytag.models.network import Network
    from polytag.schedule.range_test import Compute
    from polytag.sweep.reporting import JobRecord


def build_trainer(
    config: DictConfig, folder: RunFolder, recipe: Recipe, network: "Network", job: "JobRecord | None" = None
) -> "pl.Trainer":
    """Return the trainer with our callbacks, the config's, and the loggers; a job of a sweep is told the scores."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from polytag.callbacks.checkpoint import AtomicCheckpointIO

    loggers = [build(node) for node in config.logger.values() if node is not None]
    try:
        with warnings.catch_warnings():  # said on every login node, also where nothing is to run on a cluster
            warnings.filterwarnings("ignore", "The `srun` command is available on your system but is not used")
            trainer: pl.Trainer = build(
                config.trainer,
                max_epochs=recipe.epochs,
                callbacks=_build_callbacks(config, folder, recipe, network, job),
                logger=loggers or False,
                plugins=[AtomicCheckpointIO()],
                default_root_dir=str(folder.path),
                reload_dataloaders_every_n_epochs=1,
                use_distributed_sampler=False,
                num_sanity_val_steps=0,
                enable_progress_bar=_shows_bar(config),
                enable_model_summary=False,
            )
    except MisconfigurationException as error:
        raise UserError(f"The settings under `trainer` do not work here: {error} Try trainer=cpu.") from error
    return trainer


def _build_callbacks(
    config: DictConfig, folder: RunFolder, recipe: Recipe, network: "Network", job: "JobRecord | None"
) -> list[Any]:
    """Return the callbacks in the order in which they must be called.

    Freezing, rates and seeding come first; then the config's; then those that close an epoch: the history's row, early
    stopping, the checkpoint, which must hold what the two before it did, and what stops behind a checkpoint.
    """
    from polytag.callbacks.checkpoint import RunCheckpoint
    from polytag.callbacks.early_stopping import EarlyStopping
    from polytag.callbacks.history import History
    from polytag.callbacks.seeding import Seeding
    from polytag.callbacks.stopping import Stopping
    from polytag.callbacks.sweep_report import SweepReport
    from polytag.callbacks.timing import Timing
    from polytag.models.layer_groups import layer_groups
    from polytag.schedule.freeze import Freeze
    from polytag.schedule.group_lr import GroupLR

    chosen = [
        build(node, **wanted(node, recipe=recipe, folder=folder))
        for node in config.callbacks.values()
        if node is not None
    ]
    if config.sweep.number is not None:
        chosen.append(SweepReport(job, config.monitor.metric, config.monitor.mode))
    last = (EarlyStopping, RunCheckpoint, SweepReport, Stopping)
    return [
        Freeze(recipe, layer_groups(network)),
        GroupLR(recipe),
        Seeding(config.seed),
        *(callback for callback in chosen if not isinstance(callback, last)),
        Timing(),
        History(folder, recipe),
        *(callback for kind in last for callback in chosen if isinstance(callback, kind)),
    ]


def _shows_bar(config: DictConfig) -> bool:
    from rich.console import Console

    return Console().is_terminal and config.callbacks.get("progress") is not None


def build_compute(trainer: DictConfig) -> "Compute":
    """Return how the trainer of this config would take a step, on one device.

    Raises:
        UserError: Its accelerator is not to be had here, or its precision is unknown.
    """
    from polytag.inference.predictor import choose_device
    from polytag.schedule.range_test import Compute

    name = str(trainer.accelerator)
    try:
        device = choose_device(name)
        if device.type == "cuda" and isinstance(trainer.devices, ListConfig):
            device = choose_device(f"cuda:{trainer.devices[0]}")
    except UserError as error:
        raise UserError(f"trainer.accelerator={name} is not to be had here: try trainer=cpu.") from error
    return Compute(device, str(trainer.precision), int(trainer.accumulate_grad_batches), _clipping(trainer))


def _clipping(trainer: DictConfig) -> Callable[..., object] | None:
    """Return Lightning's clipping of gradients: by their norm unless the config says by value."""
    from torch.nn.utils import clip_grad_norm_, clip_grad_value_

    if not trainer.gradient_clip_val:
        return None
    if trainer.get("gradient_clip_algorithm") == "value":
        return partial(clip_grad_value_, clip_value=float(trainer.gradient_clip_val))
    return partial(clip_grad_norm_, max_norm=float(trainer.gradient_clip_val))
