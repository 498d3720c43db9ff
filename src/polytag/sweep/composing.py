"""From a job of the ledger to the command line and the config that it runs with."""

import threading
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from polytag.sweep.identity import is_ignored
from polytag.sweep.override_text import override_text

HERE = ("BasicLauncher", "ProcessesLauncher")  # launchers whose jobs run on this machine
ONE_AT_A_TIME = threading.Lock()  # Hydra's own config is one for all threads


class Composer:
    """Composes the configs of a sweep's jobs.

    Args:
        context: Hydra's, of the sweep.
        config: The sweep's own.
        common: Overrides of all jobs, as this command has them.
        ledger: The file that jobs report to.
    """

    def __init__(self, context: HydraContext, config: DictConfig, common: Sequence[str], ledger: Path) -> None:
        self.context, self.config = context, config
        own: dict[str, object] = {"sweep.name": str(config.sweep.name), "sweep.ledger": str(ledger.absolute())}
        taken = {*own, "sweep.resume"}  # a job is no sweep to go on with
        given = [text for text in common if is_ignored(text) and text.partition("=")[0] not in taken]
        if self.runs_here:
            own["sweep.capture"] = True
        self._free = [*given, *(f"{key}={override_text(value)}" for key, value in own.items())]

    @property
    def runs_here(self) -> bool:
        """Whether the jobs run one after another in this process."""
        return launcher_name(self.config) == "BasicLauncher"

    def command_line(self, overrides: Sequence[str], number: int) -> list[str]:
        """Return all overrides of a job: its own, and those of this command that change no result."""
        return [*overrides, *self._free, f"sweep.number={number}"]

    def config_of(self, overrides: Sequence[str], number: int) -> DictConfig:
        """Return the config of a job, Hydra's own part included."""
        return job_config(self.context, self.config, self.command_line(overrides, number), number)

    def plain_config(self, choices: Sequence[str]) -> DictConfig:
        """Return the config that options of groups make, without this command's own settings."""
        config = self.context.config_loader.load_configuration("train", list(choices), RunMode.RUN)
        assert isinstance(config, DictConfig)
        return config


def launcher_name(config: DictConfig) -> str:
    """Return the class of a sweep's launcher."""
    return str(config.hydra.launcher["_target_"]).rpartition(".")[2]


def given_config_dir(config: DictConfig) -> str | None:
    """Return the folder of `--config-dir`, which no override says."""
    sources = config.hydra.runtime.config_sources
    return next((str(source.path) for source in sources if source.provider == "command-line"), None)


def job_config(context: HydraContext, sweep: DictConfig, command_line: Sequence[str], number: int) -> DictConfig:
    """Return the config that a launcher makes of a job's command line."""
    config = context.config_loader.load_sweep_config(sweep, list(command_line))
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    assert isinstance(config, DictConfig)
    return config


def job_folder(context: HydraContext, sweep: DictConfig, command_line: Sequence[str], number: int) -> Path:
    """Return the folder that Hydra's own launchers give a job."""
    config = job_config(context, sweep, command_line, number)
    with ONE_AT_A_TIME:
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        try:
            parts = [str(OmegaConf.select(config, key)) for key in ("hydra.sweep.dir", "hydra.sweep.subdir")]
        finally:
            HydraConfig.instance().cfg = before
    return Path(*parts).absolute()
