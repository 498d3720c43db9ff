"""`best.yaml`: the best job of a sweep as an experiment file, which stands by itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from polytag.run_folder import RunFolder, write_atomically
from polytag.sweep.composing import Composer
from polytag.sweep.job import Job
from polytag.sweep.override_text import override_text

# Choices and settings that are no part of what a run learns, or that an experiment cannot make.
NOT_CHOSEN = ("sweep", "experiment", "launcher", "local", "debug", "paths", "hydra", "logger")
NOT_SET = ("sweep", "paths", "hydra", "logger", "print_config", "dry_run", "resume")
NAME = "best_of_the_sweep"
HEAD = """# @package _global_
# Job {number} of the sweep {name}, the best one. As a copy in conf/experiment/best.yaml:
#   train experiment=best{rest}
"""
REST = "# What stands behind it there, such as a key to take away, no experiment file can say.\n"


def write_best(file: Path, job: Job, composer: Composer, folder: Path) -> None:
    """Write the experiment: the options that the job chose, and each value in which it differs from them.

    What it says is composed, and what is not as in the job then is added to the command in its first lines.

    Args:
        file: Where to.
        job: The best.
        composer: Of the sweep.
        folder: Of the sweep.
    """
    config = composer.config_of(job.overrides, job.number)
    wanted = _values(config)
    _settle(wanted, RunFolder(folder / (job.folder or str(job.number))))
    chosen = _chosen(config, composer)
    plain = _values(_plain(chosen, composer))
    options = [{f"override /{group}": option} for group, option in chosen.items()]
    content = {"defaults": [*options, "_self_"], **_differences(plain, wanted)}
    rest = list(_overrides(_composed(content, composer), wanted))
    head = HEAD.format(
        number=job.number, name=composer.config.sweep.name, rest="".join(f" {_quoted(text)}" for text in rest)
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    write_atomically(file, head + (REST if rest else "") + text)


def _chosen(config: DictConfig, composer: Composer) -> dict[str, str | None]:
    """Return the options of groups in which a job differs from the defaults; None of a list of options.

    Hydra does not say what a list was made of. Such a group is left out, and all its values are the job's own.
    """
    there = _choices(config)
    defaults = _choices(composer.plain_config([]))
    chosen = {group: there.get(group) for group, option in defaults.items() if there.get(group) != option}
    nested = _choices(_plain(chosen, composer))
    return chosen | {group: option for group, option in there.items() if nested.get(group) != option}


def _plain(chosen: Mapping[str, str | None], composer: Composer) -> DictConfig:
    """Return the config that options make; on a command line an empty list is none."""
    return composer.plain_config([f"{group}={option or '[]'}" for group, option in chosen.items()])


def _choices(config: DictConfig) -> dict[str, str | None]:
    """Return the options by their groups, in the order of conf/train.yaml; Hydra has them the other way round."""
    choices = {str(group): option for group, option in reversed(list(config.hydra.runtime.choices.items()))}
    return {group: option for group, option in choices.items() if group.split("/")[0] not in NOT_CHOSEN}


def _values(config: DictConfig) -> dict[str, Any]:
    """Return the values of a config as they are written, `${...}` included."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key not in NOT_SET}


def _composed(content: Mapping[str, Any], composer: Composer) -> dict[str, Any]:
    """Return the values of a config that an experiment of this content makes."""
    store = ConfigStore.instance()
    store.store(group="experiment", name=NAME, node=dict(content), package="_global_")
    try:
        return _values(composer.plain_config([f"experiment={NAME}"]))
    finally:
        del store.repo["experiment"][f"{NAME}.yaml"]


def _differences(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
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


def _overrides(there: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the overrides that make one config the other."""
    for key in dict.fromkeys([*there, *wanted]):
        full = f"{path}{key}"
        if key not in wanted:
            yield f"~{full}"
        elif key not in there:
            yield f"+{full}={override_text(wanted[key])}"
        elif isinstance(there[key], dict) and isinstance(wanted[key], dict):
            yield from _overrides(there[key], wanted[key], f"{full}.")
        elif there[key] != wanted[key]:
            yield f"{full}={override_text(wanted[key])}"


def _quoted(text: str) -> str:
    """Return an override as a shell takes it: `~` alone would be its home folder."""
    from shlex import quote

    return f"'{text}'" if text.startswith("~") else quote(text)


def _settle(values: dict[str, Any], run: RunFolder) -> None:
    """Replace each `auto` by what the run has found."""
    if run.config_file.exists():
        _replace(values, run.read_config(), "")


def _replace(values: dict[str, Any], found: DictConfig, path: str) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _replace(value, found, f"{path}{key}.")
        elif value == "auto":
            values[key] = OmegaConf.select(found, f"{path}{key}", default="auto")
