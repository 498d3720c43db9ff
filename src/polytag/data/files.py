"""Is what the label table lists really there, and whole? And: which images lie in a folder?"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polytag.data.images import SUFFIXES, find_damaged
from polytag.data.label_table import LabelTable
from polytag.errors import UserError, did_you_mean, first_few

log = logging.getLogger(__name__)


def require_path(path: Path, what: str, hint: str) -> Path:
    """Return the path.

    Raises:
        UserError: Nothing is there; the message calls it `what` and ends with the hint.
    """
    if not path.exists():
        raise UserError(f"There is no {what} {path}. {hint}")
    return path


def list_images(folder: str | Path) -> list[str]:
    """Return the images below a folder, as sorted paths relative to it with forward slashes.

    Hidden files and folders are left out, and the `__MACOSX` folder that some zip files bring along.

    Raises:
        UserError: There is no such folder.
    """
    base = require_path(Path(folder), "folder", "Correct its name.")
    found = []
    for place, folders, files in os.walk(base):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        relative = Path(place).relative_to(base)
        images = (name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        found += [(relative / name).as_posix() for name in images]
    return sorted(found)


def require_files(
    table: LabelTable, on_missing: str = "error", on_broken: str = "error", prefix: str = "data."
) -> LabelTable:
    """Return the table without missing and broken files, or stop at them.

    Args:
        table: What the source lists.
        on_missing: `error` or `drop`: what to do about images that are not there.
        on_broken: `error` or `drop`: what to do about images that are empty or cut short.
        prefix: What stands before the names of these two options on the command line.

    Raises:
        UserError: There are such files and they are not to be dropped; or nothing is left; or a bad option.
    """
    _require_choice(f"{prefix}on_missing", on_missing)
    _require_choice(f"{prefix}on_broken", on_broken)
    missing = ~_is_present(table.paths)
    table = _without(table, missing, [], ("missing", prefix + "on_missing"), on_missing, table.hint)
    damage = find_damaged(table.paths.tolist())
    broken = np.array([path in damage for path in table.paths.tolist()], dtype=bool)
    said = [damage[path] for path in table.paths[broken].tolist()]
    return _without(table, broken, said, ("broken", prefix + "on_broken"), on_broken, "Or replace them.")


def _require_choice(option: str, value: str) -> None:
    if value not in ("error", "drop"):
        raise UserError(f"{option}={value} is not known: error or drop.{did_you_mean(str(value), ('error', 'drop'))}")


def _is_present(paths: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Look up many files at one listing a folder: 40,000 single questions take seconds on a network disk."""
    split = [os.path.split(path) for path in paths.tolist()]
    listing = {folder: _names_in(folder) for folder in {folder for folder, _ in split}}
    return np.array([name in listing[folder] for folder, name in split], dtype=bool)


def _names_in(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder or "."))
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _without(
    table: LabelTable,
    bad: npt.NDArray[np.bool_],
    said: Sequence[str],
    state_and_option: tuple[str, str],
    choice: str,
    cure: str,
) -> LabelTable:
    """Drop the bad rows, or raise. `said` says of each bad row what is wrong with it, where there is more to say."""
    state, option = state_and_option
    count, left = int(bad.sum()), int((~bad).sum())
    if not count:
        return table
    below = os.path.commonpath([os.path.dirname(path) for path in table.paths[bad].tolist()]) or "."
    names = table.names[bad].tolist()
    listed = first_few([f"{name} ({why})" for name, why in zip(names, said, strict=True)] if said else names)
    verb = "image is" if len(table) == 1 else "images is" if count == 1 else "images are"
    kept = ("is " if left == 1 else "are ") + ("there" if state == "missing" else "whole")
    message = f"{count:,} of {len(table):,} {verb} {state} below {below}: {listed}."
    if choice == "error" or not left:
        drop = f" {option}=drop goes on with the {left:,} that {kept}." if left else ""
        raise UserError(f"{message}{drop} {cure}")
    log.warning("%s They are left out (%s=drop), %s rows remain.", message, option, f"{left:,}")
    return table.rows(~bad)
