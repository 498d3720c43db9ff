"""Is everything in a config read by something? Asked before any work, because Hydra checks the command line only."""

import inspect
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from polytag.commands import conf_dir
from polytag.data.options import COMMON_DATA_KEYS
from polytag.errors import UserError, did_you_mean
from polytag.run_folder import plain_values

HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}
# Arguments that the code passes and no config may.
PASSED_BY_CODE = {
    "model": {"num_classes", "classes"},
    "criterion": {"classes", "train_targets"},
    "policy": {"classes"},
    "callbacks": {"recipe", "folder"},
    "trainer": {
        *("max_epochs", "callbacks", "logger", "plugins", "default_root_dir", "reload_dataloaders_every_n_epochs"),
        *("use_distributed_sampler", "num_sanity_val_steps", "enable_progress_bar", "enable_model_summary"),
    },
}


def check_keys(config: DictConfig, command: str) -> None:
    """Refuse keys that nothing reads; Hydra itself checks the command line only, not experiment files.

    A node with a `_target_` may have the arguments of its target; the root and nodes without one the keys that
    `conf/<command>.yaml` and its defaults give them.

    Raises:
        UserError: A misspelt key or target, with the nearest known one.
    """
    plain = plain_values(config, resolve=False)
    primary, groups = _primary(command)
    _refuse_unknown("", plain, set(primary) | groups)
    for key, node in plain.items():
        if not isinstance(node, dict):
            continue
        if "_target_" in node:
            _check_node(key, node)
        elif key in ("callbacks", "logger", "metrics"):
            for name, child in node.items():
                if child is not None:
                    _check_listed(f"{key}.{name}", child)
        elif key == "paths":
            with open(conf_dir() / "paths" / "default.yaml", encoding="utf-8") as file:
                _refuse_unknown(key, node, yaml.safe_load(file))
        elif isinstance(primary.get(key), dict):
            _refuse_unknown(key, node, primary[key])


def check_run(config: DictConfig) -> None:
    """Refuse values of the run itself that would be taken for something else.

    Raises:
        UserError: `tags` is no list, or `seed` no number that generators take.
    """
    if not OmegaConf.is_list(config.tags):
        raise UserError(f"tags={config.tags} is no list: tags=[{config.tags}].")
    if type(config.seed) is not int or not 0 <= config.seed < 2**32:
        seed = OmegaConf.to_container(config.seed) if OmegaConf.is_config(config.seed) else config.seed
        raise UserError(f"seed={seed} is no number from 0 to 4294967295. Several seeds: train -m seed=1,2,3")


def _primary(command: str) -> tuple[dict[str, Any], set[str]]:
    """Return the keys of `conf/<command>.yaml` and the groups it chooses from, those of a file it extends too."""
    with open(conf_dir() / f"{command}.yaml", encoding="utf-8") as file:
        keys: dict[str, Any] = yaml.safe_load(file)
    groups: set[str] = set()
    for item in keys.pop("defaults"):
        if isinstance(item, dict):
            groups |= {str(key).removeprefix("optional ").removeprefix("override ") for key in item}
        elif item != "_self_":
            extended, chosen = _primary(item)
            keys, groups = extended | keys, groups | chosen
    return keys, groups


def _check_listed(path: str, node: Any) -> None:
    if not isinstance(node, dict) or "_target_" not in node:
        raise UserError(f"{path} needs a _target_: the class or function to call.")
    _check_node(path, node)


def _check_node(path: str, node: Mapping[str, Any]) -> None:
    """Check the keys of a node against its target's arguments, and those of the nodes in it."""
    callable_ = _imported(path, str(node["_target_"]))
    group = path.split(".")[0]
    parameters = inspect.signature(callable_).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        known = {p.name for p in parameters} - PASSED_BY_CODE.get(group, set())
        _refuse_unknown(path, node, known | (COMMON_DATA_KEYS if path == "data" else set()))
    for key, child in node.items():
        _check_inside(f"{path}.{key}", child)


def _imported(path: str, target: str) -> Any:
    """Return what a target names; Hydra's own function for it also prints its errors."""
    module, _, name = target.rpartition(".")
    try:
        return pkgutil.resolve_name(target)
    except Exception as error:  # importing a user's own module may raise anything
        near = did_you_mean(name, dir(sys.modules[module])) if module in sys.modules else ""
        raise UserError(f"{path}._target_: {target} cannot be imported ({error}).{near}") from error


def _check_inside(path: str, value: Any) -> None:
    """Check the nodes in a value, however deep in lists and mappings without a target, such as a recipe's phases."""
    if isinstance(value, dict) and "_target_" in value:
        _check_node(path, value)
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_inside(f"{path}.{key}", child)
    elif isinstance(value, list):
        for number, child in enumerate(value):
            _check_inside(f"{path}[{number}]", child)


def _refuse_unknown(path: str, node: Iterable[Any], known: Iterable[str]) -> None:
    listed = sorted(set(known) - HYDRA_KEYS)
    for key in node:
        if key not in listed and key not in HYDRA_KEYS:
            full = f"{path}.{key}" if path else str(key)
            there = ", ".join(listed)
            near = did_you_mean(str(key), listed)
            raise UserError(f"Nothing reads the key {full!r}.{near} Known: {there}.{_left_behind(full)}")


def _left_behind(key: str) -> str:
    """Return what to do where a key is the chosen experiment's or sweep's, for another option than the one there is."""
    for group in ("experiment", "sweep"):
        name = _chosen(group)
        file = conf_dir() / group / f"{name}.yaml"
        if name is not None and file.is_file() and OmegaConf.select(OmegaConf.load(file), key) is not None:
            return f" {group}={name} sets it, for another option of {key.split('.')[0]}: drop it with '~{key}'."
    return ""


def _chosen(group: str) -> str | None:
    """Return the option of a group that the running command has chosen, where there is one."""
    return HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None


def check_sweep(config: DictConfig, command: str) -> None:
    """Refuse a file of `conf/sweep` without `-m`: it would be one run, with the first values of the sweep.

    Raises:
        UserError: How to start it.
    """
    name = _chosen("sweep")
    if name is not None and config.sweep.number is None and HydraConfig.get().mode != RunMode.MULTIRUN:
        raise UserError(f"sweep={name} is many runs, and needs -m: {command} -m sweep={name}")


def check_monitor(config: DictConfig) -> None:
    """Refuse a monitored metric that nothing computes: found after the first epoch, it would cost that epoch.

    Raises:
        UserError: The name of one, also of a sweep's objectives, or a mode other than max and min.
    """
    metric, mode = config.monitor.metric, config.monitor.mode
    _check_metric("monitor.metric", metric, config)
    for objective in config.sweep.objectives or ():
        _check_metric("sweep.objectives: metric", objective.metric, config)
    if mode not in ("max", "min"):
        raise UserError(f"monitor.mode={mode} is neither max nor min.")


def _check_metric(key: str, metric: str, config: DictConfig) -> None:
    known = ["val/loss", *(f"val/{name}" for name, node in config.metrics.items() if node is not None)]
    if metric not in known:
        there = ", ".join(known)
        raise UserError(f"{key}={metric} is not computed.{did_you_mean(metric, known)} Known: {there}.")
