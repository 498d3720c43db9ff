"""Weights & Biases: online where that is possible, else offline. It never asks, and no network ends a training."""

import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import loggers

from polytag.errors import UserError
from polytag.run_folder import write_atomically
from polytag.tracking.summary import git_commit
from polytag.tracking.wandb_mode import MODES, choose_mode, first_line

log = logging.getLogger(__name__)

# Seconds, unless the environment says otherwise (WANDB_INIT_TIMEOUT, WANDB_FINISH_TIMEOUT). W&B's own are 90 and no
# limit: a server that has gone away would hold a finished job until the cluster ends it.
INIT_TIMEOUT, FINISH_TIMEOUT = 20, 300
CHECKPOINTS, WATCHED = ("best", "all"), ("gradients", "parameters", "all")


class FallbackWandbLogger(loggers.WandbLogger):
    """Lightning's logger, started at its first use and on the first rank only: there the mode is chosen.

    Attributes:
        log_checkpoints: Which checkpoints are sent when the training is over: None, `best` or `all`.
        watched: What of the network is sent as histograms: None, `gradients`, `parameters` or `all`.
    """

    def __init__(self, mode: str | None, log_checkpoints: str | None, watched: str | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._wandb_init.pop("anonymous", None)  # W&B no longer has it, and warns of it even where it is None
        self.wanted_mode, self.log_checkpoints, self.watched = mode, log_checkpoints, watched

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run."""
        if self._experiment is None:
            self._start()
        return super().experiment

    def _start(self) -> None:
        if wandb.run is not None:  # Lightning would go on with it: a job that ended without closing its run
            wandb.finish(exit_code=1)
        mode, reason = choose_mode(self.wanted_mode)
        self._wandb_init["settings"] = _settings()
        if mode != "disabled":
            self._wandb_init["id"] = self._own_id()
        if mode == "online":
            try:
                self._wandb_init["mode"] = "online"
                _ = super().experiment
            except (wandb.Error, OSError, ValueError) as error:
                mode, reason = "offline", f"starting online failed ({first_line(error)})"
                wandb.teardown()  # else the id counts as in use
        if mode != "online":
            self._wandb_init["mode"] = mode
        log.info(f"W&B is {mode}: {reason}.{_how_to_sync(self.save_dir) if mode == 'offline' else ''}")

    def _own_id(self) -> str:
        """Return W&B's id of this run, which stays in the run folder: a run that goes on is the same one there.

        An agent of W&B's own sweeps has chosen it. Otherwise WANDB_RUN_ID counts for nothing: the jobs of a sweep would
        all become one run.
        """
        file = Path(str(self.save_dir)) / "wandb" / "run_id"
        if not file.exists():
            by_agent = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
            write_atomically(file, by_agent or secrets.token_hex(4))
        return file.read_text(encoding="utf-8")


def wandb_logger(
    save_dir: str,
    project: str = "polytag",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = "train",
    mode: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
    log_checkpoints: str | bool | None = None,
    watch: str | None = None,
    sweep: str | None = None,
) -> loggers.WandbLogger:
    """Return the logger of a run.

    Args:
        save_dir: The run folder; W&B's files go into `wandb/` below it.
        project: W&B's project.
        entity: Team or user; W&B's default where not given.
        name: Name of the run. Not given: the folder's name in a sweep, else W&B makes one up.
        group: What W&B groups the run under. Not given: the sweep.
        job_type: What W&B calls the kind of the run.
        mode: `online`, `offline` or `disabled`. Not given: what WANDB_MODE says, else online. Online becomes offline
            where there is no key or no connection.
        tags: Short words to filter by.
        notes: A sentence.
        log_checkpoints: `best` or `all` to send checkpoints as an artifact when the training is over.
        watch: `gradients`, `parameters` or `all` to send histograms of the network.
        sweep: Name of the sweep that the run is a job of.

    Raises:
        UserError: An unknown mode, or one of the other options has a value that it does not know.
    """
    if mode is not None and mode not in MODES:
        raise UserError(
            f"logger.wandb.mode={mode} is none of online, offline, disabled. Leave it out to let it choose."
        )
    _check_choice("log_checkpoints", log_checkpoints or None, CHECKPOINTS)
    _check_choice("watch", watch or None, WATCHED)
    Path(save_dir).mkdir(parents=True, exist_ok=True)  # else W&B would write into the system's temporary folder
    return FallbackWandbLogger(
        mode,
        str(log_checkpoints) if log_checkpoints else None,
        watch or None,
        save_dir=save_dir,
        project=project,
        entity=entity,
        name=name or (Path(save_dir).name if sweep else None),
        group=group or sweep,
        job_type=job_type,
        tags=list(tags),
        notes=notes or None,
    )


def _check_choice(name: str, value: object, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise UserError(f"logger.wandb.{name}={value} is none of {', '.join(known)}. Leave it out for none.")


def _settings() -> wandb.Settings:
    """Return our limits of time, where the environment has none, and the commit of the sources, as W&B's settings."""
    settings = wandb.Settings(git_commit=git_commit())
    for name, seconds in {"init_timeout": INIT_TIMEOUT, "finish_timeout": FINISH_TIMEOUT}.items():
        if f"WANDB_{name.upper()}" not in os.environ:
            setattr(settings, name, seconds)
    return settings


def _how_to_sync(save_dir: str | None) -> str:
    return f" Send it later with `wandb sync {save_dir}/wandb/offline-*`."
