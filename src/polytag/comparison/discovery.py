"""Which run folders somebody means: folders, sweeps by name, patterns, or all that there are."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polytag.errors import UserError

# One of these makes a folder a run, even one of which the rest is lost.
MARKS = ("config.yaml", "summary.json", "metrics.csv", "refused.json", "checkpoints", "train.log")
NOT_SEARCHED = ("debug", "compare")  # below the folder of all logs


@dataclass(frozen=True)
class Found:
    """Run folders.

    Attributes:
        paths: In the order in which they are named, or of their paths.
        are_named: Whether each of two or more was named by itself.
    """

    paths: list[Path]
    are_named: bool


def find_runs(asked: str | Sequence[str] | None, logs: Path) -> Found:
    """Return the folders of the runs that are meant.

    Args:
        asked: A run folder, a folder above runs, the name of a sweep, a pattern such as `logs/train/2026-*/*`, or a
            list of these; None for all runs below `logs` but those of debug=...
        logs: Where runs are written.

    Raises:
        UserError: Something that is asked for has no runs.
    """
    if asked is None:
        paths = [run for folder in _folders(logs) if folder.name not in NOT_SEARCHED for run in runs_below(folder)]
        if not paths:
            raise UserError(f"There are no runs below {logs}. `train` makes one; runs=[A,B] names folders elsewhere.")
        return Found(paths, False)
    items = [asked] if isinstance(asked, str) else [str(item) for item in asked]
    if not items:
        raise UserError("Which runs? compare runs=[A,B], or compare alone for all runs.")
    paths = [run for item in items for run in _meant(item, logs)]
    return Found(paths, len(items) > 1 and all(is_run(Path(item)) for item in items))


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, or what is left of one."""
    return any((folder / name).exists() for name in MARKS)


def runs_below(folder: Path) -> list[Path]:
    """Return the folder itself where it is a run, else those below it in the natural order of their paths."""
    return sorted(_walk(folder), key=lambda path: [_natural(part) for part in path.parts])


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the runs below a folder; what lies inside a run, such as its evaluations, is none."""
    for path, names, files in os.walk(folder):
        if any(name in MARKS for name in (*names, *files)):
            names.clear()
            yield Path(path)
        names[:] = [name for name in names if not name.startswith(".")]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _meant(item: str, logs: Path) -> list[Path]:
    """Return the runs that one entry of `runs` stands for."""
    for folder in (Path(item), logs / "sweep" / item):
        if folder.is_dir():
            if runs := runs_below(folder):
                return runs
            raise UserError(f"{folder} is no run folder, and there is none below it.")
    if glob.has_magic(item):
        matches = sorted((Path(path) for path in glob.glob(item, recursive=True)), key=lambda path: path.parts)
        if runs := list(dict.fromkeys(run for match in matches if match.is_dir() for run in runs_below(match))):
            return runs
        raise UserError(f"No run folder matches {item}.")
    raise UserError(
        f"There is no run folder {item}, and no sweep of that name below {logs}. `train` prints the path of a run at "
        "its end."
    )


def _natural(part: str) -> list[tuple[int, str]]:
    """Return a key that sorts job 10 behind job 9."""
    return [(int(digits) if digits else -1, text) for digits, text in re.findall(r"(\d+)|(\D+)", part)]
