"""From the config to what runs the training: Lightning's trainer with its callbacks, or one device by itself."""

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from polytag.build import build, wanted
from polytag.errors import UserError
from polytag.first_rank import slurm_tasks
from polytag.preflight import device_count
from polytag.run_folder import RunFolder
from polytag.schedule.recipe import Recipe

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from polytag.models.network import Network
    from polytag.schedule.range_test import Compute
    from polytag.sweep.reporting import JobRecord

log = logging.getLogger(__name__)


def build_trainer(
    config: DictConfig, folder: RunFolder, recipe: Recipe, network: "Network", job: "JobRecord | None" = None
) -> "pl.Trainer":
    """Return the trainer with our callbacks, the config's, and the loggers; a job of a sweep is told the scores."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException
    from pytorch_lightning.callbacks import ProgressBar

    from polytag.callbacks.checkpoint import AtomicCheckpointIO

    callbacks = _build_callbacks(config, folder, recipe, network, job)
    sweep = None if config.sweep.number is None else str(config.sweep.name)
    loggers = [build(node, **wanted(node, sweep=sweep)) for node in config.logger.values() if node is not None]
    try:
        trainer: pl.Trainer = build(
            config.trainer,
            max_epochs=recipe.epochs,
            callbacks=callbacks,
            logger=loggers or False,
            plugins=[AtomicCheckpointIO(), *cluster_environment()],
            sync_batchnorm=False,  # see prepare_batch_norm
            default_root_dir=str(folder.path),
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        raise UserError(f"The settings under `trainer` do not work here: {error} Try trainer=cpu.") from error
    return trainer


def prepare_batch_norm(config: DictConfig, recipe: Recipe, network: "Network") -> None:
    """Synchronise batch normalisation over the processes where that is asked for; else say where they will differ.

    Raises:
        UserError: It is asked for without GPUs.
    """
    from polytag.inference.predictor import choose_device
    from polytag.models.batch_norm import batch_norm_trains, synchronise

    ranks = device_count(config.trainer) * int(config.trainer.num_nodes)
    if config.trainer.get("sync_batchnorm"):
        if choose_device("cpu" if config.trainer.accelerator == "cpu" else "auto").type != "cuda":
            raise UserError("trainer.sync_batchnorm=true is for several GPUs: leave it out here.")
        synchronise(network)
    elif ranks > 1 and batch_norm_trains(network, recipe):
        log.info(
            f"Batch normalisation trains, and each of the {ranks} processes takes the statistics of its own batches: "
            "the run differs from that of one process with larger batches. On GPUs: trainer.sync_batchnorm=true"
        )


def check_sharding(config: DictConfig, recipe: Recipe) -> None:
    """Refuse what does not work on weights that are shared out among processes.

    Raises:
        UserError: What to leave out.
    """
    if "FullySharded" not in str(config.trainer.strategy):
        return
    for what, is_there in {
        "callbacks=ema": config.callbacks.get("ema") is not None,
        "compile=true": bool(config.compile),
        "recipe.precompute=true": any(phase.precompute for phase in recipe.phases),
        "trainer.sync_batchnorm=true": bool(config.trainer.get("sync_batchnorm")),
    }.items():
        if is_there:
            raise UserError(f"{what} does not go with trainer=fsdp: leave it out, or take trainer=ddp.")


def cluster_environment() -> list[Any]:
    """Return how Lightning learns which process this is; nothing where it may find out itself.

    Under `srun` that is Slurm, also in jobs called `interactive`, as `salloc` names its, which Lightning would take for
    single processes; but Slurm's signals are left to callbacks.stopping. In a job without `srun` it is not.
    """
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if slurm_tasks() > 1:
        per_node = os.environ["SLURM_STEP_TASKS_PER_NODE"].partition("(")[0]  # the same on each, see polytag.preflight
        os.environ["SLURM_NTASKS_PER_NODE"] = per_node
        os.environ["SLURM_NNODES"] = os.environ["SLURM_STEP_NUM_NODES"]
        os.environ["SLURM_JOB_NAME"] = "train"
        return [SLURMEnvironment(auto_requeue=False)]
    # Where there is a Slurm, Lightning would take its jobs for such steps, and warn of each start without srun.
    is_near = "SLURM_JOB_ID" in os.environ or shutil.which("srun") is not None
    return [LightningEnvironment()] if is_near and not TorchElasticEnvironment.detect() else []


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
    from polytag.callbacks.steps import StepHistory
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
    timing = Timing()
    last = (EarlyStopping, RunCheckpoint, SweepReport, Stopping)
    return [
        Freeze(recipe, layer_groups(network)),
        GroupLR(recipe),
        Seeding(config.seed),
        *(callback for callback in chosen if not isinstance(callback, last)),
        timing,
        StepHistory(folder, timing),
        History(folder, recipe, timing),
        *(callback for kind in last for callback in chosen if isinstance(callback, kind)),
    ]


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
