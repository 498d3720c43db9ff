"""What Hydra finds wrong with a command line, in one line that names the culprit and what there is instead.

Hydra prints such errors itself, in several lines and its own words, unless it is asked to raise all of them.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from polytag.errors import did_you_mean

CompositionError = (HydraException, OmegaConfBaseException)
FULL_ERROR = "HYDRA_FULL_ERROR"
_given = os.environ.get(FULL_ERROR)

QUOTING = (
    "Put a value with special characters (spaces, = ( ) ' & #, brackets inside a name, letters beyond ASCII) into "
    "single quotes, and the whole argument into the shell's double quotes: \"run='logs/my run (1)'\"."
)

# What the path of a run folder, and of anything else, is to a command.
RUN_KEYS = {"train": "resume", "evaluate": "run", "predict": "run", "explain": "run"}
SOURCE_KEYS = {"predict": "source", "explain": "source"}


def raise_errors(always: bool) -> None:
    """Let Hydra raise what it finds wrong, always or only if the user's environment says so."""
    if always or _given is not None:
        os.environ[FULL_ERROR] = "1" if always else str(_given)
    else:
        os.environ.pop(FULL_ERROR, None)


def wants_tracebacks() -> bool:
    """Whether the user's environment asks for more than one line."""
    return bool(_given or os.environ.get("POLYTAG_DEBUG"))


def describe_mistake(error: Exception, folder: str, name: str, overrides: Sequence[str]) -> str:
    """Return what is wrong with a command line.

    Args:
        error: What Hydra raised.
        folder: Of the configs.
        name: Of the command's config.
        overrides: The command line's.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        there = error.options or [file.stem for file in Path(folder, group).glob("*.yaml")]  # none in a list of options
        options = sorted(set(there) - {"common", "from_run"})
        return f"There is no {group}={option}.{did_you_mean(option, options)} Known: {', '.join(options)}."
    if isinstance(error, OverrideParseException):
        if "=" not in error.override:
            return _bare_word(error.override, name)
        return f"{str(error).splitlines()[0]} in {error.override!r}. {QUOTING}"
    if found := re.match("Could not override '(.+)'", str(error)):
        return _unknown_key(found[1].lstrip("+"), folder, name, overrides)
    if found := re.match("Ambiguous value for argument '(.+?)=(.+)'", str(error)):
        sweep = f" {name} -m tries one after the other." if name == "train" else ""
        return f"'{found[1]}={found[2]}' is several values.{sweep} A list would be {found[1]}=[{found[2]}]."
    return " ".join(line for line in str(error).splitlines() if "hydra.cc" not in line)


def _bare_word(word: str, name: str) -> str:
    """Return what may be meant by an argument without an equals sign."""
    if not Path(word).exists():
        return f"{word!r} has no value: {word}=VALUE."
    if name == "compare":
        return f"{word!r} has no key. Probably meant: runs=[{word}]."
    keys = RUN_KEYS if Path(word, "config.yaml").is_file() else SOURCE_KEYS
    return f"{word!r} has no key. Probably meant: {keys.get(name, 'data.root')}={word}."


def _unknown_key(key: str, folder: str, name: str, overrides: Sequence[str]) -> str:
    """Return that nothing reads a key, with those that stand beside it in the config of the chosen options."""
    path, _, last = key.rpartition(".")
    GlobalHydra.instance().clear()  # of the composition that failed: there can be only one at a time
    with initialize_config_dir(folder, version_base="1.3"):
        try:
            config = compose(name, [override for override in overrides if _chooses(override, folder)])
        except CompositionError:  # more than one mistake
            return f"Nothing reads the key {key!r}."
        node = OmegaConf.select(config, path) if path else config
    if not isinstance(node, DictConfig):
        meant = did_you_mean(path, map(str, config)) if OmegaConf.select(config, path) is None else ""
        return f"Nothing reads the key {key!r}: {path} is no group of settings.{meant}"
    known = [str(one) for one in node if one != "_target_"]
    if not known or (last in known and node[last] == {}):  # a mapping for whatever its reader takes
        return f"Keys of {path if not known else key} are new to the config, so they need a plus: '+{key}=...'."
    return f"Nothing reads the key {key!r}.{did_you_mean(last, known)} Known: {', '.join(sorted(known))}."


def _chooses(override: str, folder: str) -> bool:
    """Whether an override chooses an option of a group."""
    group = override.split("=")[0].split("@")[0]
    return os.path.isdir(os.path.join(folder, group))
