"""What a sweep's ledger knows of the command that started it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """The settings of a sweep, stored once, in its ledger.

    Attributes:
        directions: `maximize` or `minimize`, one a metric.
        metrics: Full names of the metrics.
        overrides: What all jobs have in common.
        seed: Of the sampler.
        sampler: `random`, `tpe` or `cma_es`; a grid needs none.
        sampler_options: Arguments of Optuna's sampler.
        pruner: `none`, `median`, `percentile` or `hyperband`.
        pruner_options: Arguments of Optuna's pruner.
        trials: How many jobs a sampler draws in all; None: there is no sampler.
        arguments: The whole command line, for whoever goes on with the sweep by its name.
    """

    directions: tuple[str, ...] = ("maximize",)
    metrics: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    seed: int = 0
    sampler: str = "tpe"
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    pruner: str = "none"
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    arguments: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    @staticmethod
    def of(content: Mapping[str, Any]) -> "Settings":
        """Return the settings that `as_dict` has written, after their way through JSON."""
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in content.items()}
        return Settings(**values)
