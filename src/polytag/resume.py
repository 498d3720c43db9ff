"""Going on with a run that was stopped."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from polytag.errors import UserError, first_few
from polytag.run_folder import RunFolder, plain_values

# What may differ between the parts of a run: it changes neither samples nor weights.
FREE = (
    "paths",
    "logger",
    "tags",
    "notes",
    "print_config",
    "train",
    "test",
    "sweep",
    "data.num_workers",
    "callbacks.progress",
)


def checkpoint_to_resume(folder: RunFolder, config: DictConfig) -> Path | None:
    """Return the checkpoint that an unfinished run goes on from, or None for a run that starts.

    Raises:
        UserError: The folder holds a run with another config; the differences are shown.
    """
    if not folder.config_file.exists():
        return None
    refuse_changes(folder, config)
    last = folder.checkpoint("last")
    return last if last.exists() else None


def refuse_changes(folder: RunFolder, config: DictConfig) -> None:
    """Raise where a folder's run has other settings than those that are asked for: its scores would not be theirs.

    Raises:
        UserError: The differences.
    """
    if changed := differences(folder.read_config(), config):
        raise UserError(
            f"{folder.path} holds {'a finished' if folder.is_finished else 'an unfinished'} run with other settings: "
            f"{first_few(changed)}. "
            "Give its own command, or another hydra.run.dir (in a sweep: sweep.name) to start anew."
        )


def differences(old: DictConfig, new: DictConfig) -> list[str]:
    """Return `key: old -> new` of each value that differs, apart from those that a run may change."""
    before, after = (_flat(plain_values(config)) for config in (old, new))
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in keys
        if not any(key == free or key.startswith(f"{free}.") for free in FREE)
    ]


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
