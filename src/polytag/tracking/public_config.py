"""The config as others may see it: plain values, and nothing that lets somebody in."""

import re
from typing import Any

from omegaconf import DictConfig

from polytag.run_folder import plain_values

HIDDEN = "(hidden)"
SECRET = re.compile(
    r"(api|access|account|secret|private|session|sas)_?key|token$|secret|passw|credential", re.IGNORECASE
)
IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")  # https://user:password@host


def public_values(config: DictConfig) -> dict[str, Any]:
    """Return a config's plain values, without those whose name says that they are secret.

    A text that was taken from the environment is hidden whatever its name.
    """
    hidden: dict[str, Any] = _hide(plain_values(config), plain_values(config, resolve=False))
    return hidden


def public_override(override: str) -> str:
    """Return an override of the command line, without its value if its key says that it is secret."""
    key, sign, value = override.partition("=")
    return f"{key}{sign}{_hide(value, value, key)}"


def _hide(value: Any, raw: Any, name: str = "") -> Any:
    """Return a value with its secrets hidden; `raw` is what stands in the config, before interpolation."""
    if isinstance(value, dict):
        inside = raw if isinstance(raw, dict) else {}
        return {key: _hide(item, inside.get(key), str(key)) for key, item in value.items()}
    if isinstance(value, list):
        inner = raw if isinstance(raw, list) else [raw] * len(value)
        return [_hide(item, one, name) for item, one in zip(value, inner, strict=True)]
    if not isinstance(value, str):
        return value
    if SECRET.search(name) or "${oc.env:" in str(raw):
        return HIDDEN
    return IN_ADDRESS.sub(f"{HIDDEN}@", value)
