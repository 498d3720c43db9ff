"""What somebody has set: where a run's config differs from the plain one."""

import json
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polytag.build import absolute_paths
from polytag.commands import conf_dir

NOT_SET = "not set"
OWN = ("paths", "sweep")  # where a run stands, and nothing that it depends on


def differences(config: DictConfig, default: DictConfig) -> list[tuple[str, str, str]]:
    """Return the keys whose values differ from the default, with both as text, in the order of the config."""
    ours, theirs = leaves(config), leaves(default)
    return [(key, value, theirs.get(key, NOT_SET)) for key, value in ours.items() if theirs.get(key) != value]


def default_config() -> DictConfig:
    """Return the config of `train` without any override; inside a command of ours it has that command's settings."""
    if GlobalHydra.instance().is_initialized():
        config = compose("train")
    else:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = compose("train")
    assert isinstance(config, DictConfig)
    absolute_paths(config)  # as those of a run are
    return config


def leaves(config: DictConfig) -> dict[str, str]:
    """Return dotted keys with their values as text; a list is one value. What cannot be resolved is left out."""
    return {key: text for node in config if node not in OWN for key, text in _leaves(config, str(node))}


def _leaves(parent: DictConfig, name: str, prefix: str = "") -> list[tuple[str, str]]:
    try:
        value = parent[name]
    except OmegaConfBaseException:  # of a default that has to be given, or is known inside a run only
        return []
    path = f"{prefix}{name}"
    if isinstance(value, DictConfig) and len(value):
        return [leaf for key in value for leaf in _leaves(value, str(key), f"{path}.")]
    return [(path, _text(value))]


def _text(value: Any) -> str:
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value, resolve=True)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
