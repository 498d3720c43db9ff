"""What the node `sweep` of a config says, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from polytag.errors import UserError

GRID, AUTO = "grid", "auto"
SAMPLERS = (AUTO, GRID, "random", "tpe", "cma_es")
STORAGES = {"sqlite": "ledger.db", "journal": "ledger.journal"}
SHARED = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "fuse.sshfs", "9p", "afs")


@dataclass(frozen=True)
class Objective:
    """A metric that jobs are judged by, and whether `max` or `min` is better."""

    metric: str
    mode: str

    @property
    def direction(self) -> str:
        """What Optuna calls it."""
        return "maximize" if self.mode == "max" else "minimize"

    def is_better(self, one: float, other: float) -> bool:
        """Whether one score is better than another."""
        return one > other if self.mode == "max" else one < other


@dataclass(frozen=True)
class SweepOptions:
    """The keys of `sweep` in conf/train.yaml, where they are explained.

    Attributes:
        objectives: The metrics that jobs are judged by, the first one leading.
    """

    name: str
    trials: int | None
    sampler: str
    sampler_options: dict[str, Any]
    pruner: str
    pruner_options: dict[str, Any]
    seed: int
    params: dict[str, Any]
    conditions: list[Any]
    jobs: list[Any]
    retries: int
    retry_failed: bool
    on_error: str
    storage: str
    estimate: bool
    refusals: str | None
    after: list[Any]
    objectives: tuple[Objective, ...]

    @classmethod
    def of(cls, config: DictConfig) -> "SweepOptions":
        """Return the options of a sweep's config.

        Raises:
            UserError: A value that makes no sense.
        """
        node = OmegaConf.to_container(config.sweep, resolve=True)
        assert isinstance(node, dict)
        if not isinstance(config.monitor, DictConfig):
            raise UserError(
                f"monitor={config.monitor} is a part of the config: monitor.metric=NAME and monitor.mode=max."
            )
        asked = node["objectives"] or [OmegaConf.to_container(config.monitor, resolve=True)]
        values = {field.name: node[field.name] for field in fields(cls) if field.name != "objectives"}
        values |= {key: values[key] or {} for key in ("sampler_options", "pruner_options", "params")}
        options = cls(**values, objectives=tuple(_objective(one) for one in asked))
        options._check()
        return options

    @property
    def is_search(self) -> bool:
        """Whether a sampler is asked for, by name or by a number of trials."""
        return self.sampler not in (AUTO, GRID) or (self.sampler == AUTO and self.trials is not None)

    @property
    def sampler_name(self) -> str:
        """The sampler that `auto` stands for in a search."""
        return "tpe" if self.sampler in (AUTO, GRID) else self.sampler

    def ledger_file(self, folder: Path, is_local: bool = True) -> Path:
        """Return where the ledger is: one that is there stays, of whatever kind.

        Args:
            folder: Of the sweep.
            is_local: Whether all jobs run on this machine.
        """
        for name in STORAGES.values():
            if (folder / name).exists():
                return folder / name
        kind = self.storage
        if kind == AUTO:
            kind = "sqlite" if is_local and not is_shared(folder) else "journal"
        return folder / STORAGES[kind]

    def _check(self) -> None:
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("on_error", self.on_error, ("continue", "stop"))
        _one_of("storage", self.storage, (AUTO, *STORAGES))
        if self.trials is not None and not (isinstance(self.trials, int) and self.trials >= 1):
            raise UserError(f"sweep.trials={self.trials} has to be a whole number from 1 on: how many jobs in all?")
        if self.sampler not in (AUTO, GRID) and self.trials is None:
            raise UserError(f"sweep.sampler={self.sampler} needs a number of jobs: add sweep.trials=20.")
        if not (isinstance(self.retries, int) and self.retries >= 0):
            raise UserError(f"sweep.retries={self.retries} has to be a whole number from 0 on.")
        if len(self.objectives) > 1 and self.pruner != "none":
            raise UserError(f"sweep.pruner={self.pruner} goes by one metric, and sweep.objectives has several.")


def is_shared(folder: Path) -> bool:
    """Whether a folder is on a file system of several machines, where SQLite's locks may not hold."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return False
    kinds = {Path(line.split()[1].replace("\\040", " ")): line.split()[2] for line in mounts}
    above = [path for path in (folder.absolute(), *folder.absolute().parents) if path in kinds]
    return bool(above) and kinds[above[0]].startswith(SHARED)


def _objective(node: Mapping[str, Any]) -> Objective:
    if not isinstance(node, dict) or set(node) != {"metric", "mode"} or node["mode"] not in ("max", "min"):
        raise UserError(f"sweep.objectives: {node} is no objective, such as {{metric: val/map, mode: max}}.")
    return Objective(str(node["metric"]), str(node["mode"]))


def _one_of(key: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"sweep.{key}={value} is none of {', '.join(known)}.")
