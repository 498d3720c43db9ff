"""`best.yaml`: the best job of a sweep as an experiment file, which stands by itself."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from polytag.commands import conf_dir
from polytag.run_folder import RunFolder, write_atomically
from polytag.sweep.composing import Composer
from polytag.sweep.job import Job

# Choices and settings that are no part of what a run learns, or that an experiment cannot make.
NOT_CHOSEN = ("sweep", "experiment", "launcher", "local", "debug", "paths", "hydra", "logger")
NOT_SET = ("sweep", "paths", "hydra", "logger", "print_config", "dry_run", "resume", "notes", "tags")
HEAD = """# @package _global_
# Job {number} of the sweep {name}, the best one. As a copy in conf/experiment/best.yaml:
#   train experiment=best
"""


def write_best(file: Path, job: Job, composer: Composer, folder: Path) -> None:
    """Write the experiment: the options that the job chose, and each value in which it differs from them.

    Args:
        file: Where to.
        job: The best.
        composer: Of the sweep.
        folder: Of the sweep.
    """
    config = composer.config_of(job.overrides, job.number)
    defaults = _defaults()
    chosen = {
        str(group): option
        for group, option in config.hydra.runtime.choices.items()
        if "/" not in group and group not in NOT_CHOSEN and defaults.get(group) != option
    }
    plain = composer.plain_config([f"{group}={option}" for group, option in chosen.items()])
    values = _differences(_values(plain), _values(config))
    run = RunFolder(folder / (job.folder or str(job.number)))
    _settle(values, run)
    content: dict[str, Any] = {
        "defaults": [*({f"override /{group}": option} for group, option in chosen.items()), "_self_"],
        **values,
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    write_atomically(file, HEAD.format(number=job.number, name=composer.config.sweep.name) + text)


def _defaults() -> dict[str, Any]:
    """Return the options that `train` chooses where nobody says otherwise."""
    with open(conf_dir() / "train.yaml", encoding="utf-8") as file:
        listed = [one for one in yaml.safe_load(file)["defaults"] if isinstance(one, dict)]
    return {str(key).removeprefix("optional "): value for one in listed for key, value in one.items()}


def _values(config: DictConfig) -> dict[str, Any]:
    """Return the values of a config as they are written, `${...}` included."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key not in NOT_SET}


def _differences(base: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what has to be merged into a base to get what is wanted; what is only in the base cannot be taken away."""
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        there = base.get(key)
        if key in base and isinstance(value, dict) and isinstance(there, dict):
            if inner := _differences(there, value):
                found[key] = inner
        elif key not in base or value != there:
            found[key] = value
    return found


def _settle(values: dict[str, Any], run: RunFolder, path: str = "") -> None:
    """Replace each `auto` by what the run has found."""
    for key, value in values.items():
        full = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            _settle(value, run, full)
        elif value == "auto" and run.config_file.exists():
            values[key] = OmegaConf.select(run.read_config(), full)
