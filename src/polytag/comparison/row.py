"""One run as a row of a comparison, whatever is left of its files."""

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from polytag.errors import UserError
from polytag.run_folder import RunFolder

LOSS = "val/loss"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it


@dataclass(frozen=True)
class Row:
    """What is known of a run. Numbers that are missing are NaN.

    Attributes:
        folder: Of the run.
        name: Short, unlike that of any other run of the comparison.
        config: The values of config.yaml; empty where it cannot be read.
        metric: What the run was monitored by; empty where it is unknown.
        mode: Whether `max` or `min` of it is best.
        epoch: The best one, counted from 1; None without validation.
        scores: Of the best epoch, by full names: those of summary.json, and what else metrics.csv has of it.
        history: Column -> numbers, one an epoch; empty where there is none.
        speed: Training images a second.
        seconds: Of the whole training.
        broken: Why it is in no leaderboard; empty of a finished run.
        remarks: What else is wrong with its files.
    """

    folder: RunFolder
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    metric: str = ""
    mode: str = "max"
    epoch: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, list[float]] = field(default_factory=dict)
    speed: float = math.nan
    seconds: float = math.nan
    broken: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return len(self.history.get("epoch", ()))

    @property
    def precomputes(self) -> bool:
        """Whether features of frozen phases were computed once, so that `speed` is not that of images."""
        recipe = self.config.get("recipe")
        return isinstance(recipe, dict) and recipe.get("precompute") is True


def read_rows(paths: Sequence[Path]) -> list[Row]:
    """Return the runs in some folders, each once, with names as short as they can be."""
    unique = list({path.resolve(): path for path in paths}.values())
    common = common_folder(unique)
    return [read_row(path, Path(os.path.relpath(path, common or ".")).as_posix()) for path in unique]


def common_folder(paths: Sequence[Path]) -> str:
    """Return the folder that holds all runs, as seen from the current one where it is below it; empty if it is that."""
    common = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    below = common.relative_to(Path.cwd()) if common.is_relative_to(Path.cwd()) else common
    return "" if below == Path(".") else str(below)


def read_row(path: Path, name: str) -> Row:
    """Return what can be read of a run; nothing that is wrong with its files is an error here."""
    folder = RunFolder(path)
    history, remarks = _read_history(folder)
    try:
        config = _read_config(folder)
        if reason := _refusal(folder):
            return Row(folder, name, config, broken=reason)
        if not folder.is_finished:
            return Row(folder, name, config, broken=_unfinished(folder, config, history))
        summary = folder.read_summary()
        return _finished(folder, name, config, summary, history, remarks)
    except (UserError, OSError) as error:
        return Row(folder, name, history=history, broken=str(error))


def _finished(
    folder: RunFolder,
    name: str,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    history: Mapping[str, list[float]],
    remarks: list[str],
) -> Row:
    monitor = summary.get("monitor") if isinstance(summary, Mapping) else None
    if not isinstance(monitor, Mapping) or not isinstance(monitor.get("metric"), str):
        raise UserError(f"{folder.summary_file} is damaged: it has no monitor.")
    epoch, metric = monitor.get("epoch"), monitor["metric"]
    epoch = epoch if isinstance(epoch, int) else None
    scores = {metric: number(monitor.get("best"))} | _at_epoch(history, epoch) | numbers(summary.get("val"))
    seconds = summary.get("seconds")
    if history and epoch is not None and epoch not in history.get("epoch", ()):
        remarks = [*remarks, f"metrics.csv lacks the best epoch, {epoch + 1}: only its monitored score is known"]
    if not folder.predictions("val").is_file():
        remarks = [*remarks, "predictions/val.csv is missing: no classes, bootstrap and images of it"]
    return Row(
        folder,
        name,
        config,
        metric,
        "min" if monitor.get("mode") == "min" else "max",
        None if epoch is None else epoch + 1,
        {key: value for key, value in scores.items() if not math.isnan(value)},
        history,
        number(summary.get("images_per_second")),
        number(seconds.get("total")) if isinstance(seconds, Mapping) else math.nan,
        remarks=tuple(remarks),
    )


def number(value: object) -> float:
    """Return a value as a number, NaN where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def numbers(values: object) -> dict[str, float]:
    """Return the values of a mapping as numbers; nothing of what is no mapping."""
    return {str(key): number(value) for key, value in values.items()} if isinstance(values, Mapping) else {}


def _at_epoch(history: Mapping[str, list[float]], epoch: int | None) -> dict[str, float]:
    """Return the validation scores of an epoch."""
    if epoch is None or epoch not in history.get("epoch", ()):
        return {}
    place = history["epoch"].index(epoch)
    return {name: values[place] for name, values in history.items() if name.startswith("val/")}


def _read_config(folder: RunFolder) -> dict[str, Any]:
    try:
        content = yaml.load(folder.config_file.read_bytes(), Loader)
    except FileNotFoundError as error:
        there = any((folder.path / name).exists() for name in ("summary.json", "metrics.csv", "checkpoints"))
        raise UserError("config.yaml is missing" if there else "it stopped before its training") from error
    except yaml.YAMLError as error:
        raise UserError(f"config.yaml is damaged ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError("config.yaml is damaged: it holds no settings")
    return {str(key): value for key, value in content.items()}


def _refusal(folder: RunFolder) -> str:
    """Return why a job of a sweep refused its values; empty where it did not."""
    file = folder.path / "refused.json"
    if not file.is_file() or folder.is_finished:
        return ""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    reason = content.get("reason") if isinstance(content, dict) else None
    return f"it refused its values: {reason}" if reason else "it refused its values"


def _unfinished(folder: RunFolder, config: Mapping[str, Any], history: Mapping[str, list[float]]) -> str:
    """Return how far an unfinished run came, and the best score that it had."""
    state = _state_in_sweep(folder, config)
    epochs = len(history.get("epoch", ()))
    text = f"{state or 'not finished'} after {epochs} epoch{'s' * (epochs != 1)}"
    monitor = config.get("monitor")
    metric = monitor.get("metric") if isinstance(monitor, dict) else None
    there = [value for value in history.get(str(metric), ()) if not math.isnan(value)]
    if not there:
        return text
    best = min(there) if monitor and monitor.get("mode") == "min" else max(there)
    return f"{text}, {metric} at best {best:.4f}"


def _state_in_sweep(folder: RunFolder, config: Mapping[str, Any]) -> str:
    """Return what sweep.csv says of an unfinished job: pruned, failed; empty where there is nothing to tell."""
    sweep = config.get("sweep")
    job = sweep.get("number") if isinstance(sweep, dict) else None
    try:
        with open(folder.path.parent / "sweep.csv", newline="", encoding="utf-8") as file:
            states = {row.get("job"): row.get("state") for row in csv.DictReader(file)}
    except (OSError, ValueError, csv.Error):
        return ""
    state = states.get(str(job))
    return state if state in ("pruned", "failed") else ""


def _read_history(folder: RunFolder) -> tuple[dict[str, list[float]], list[str]]:
    """Return the columns of metrics.csv and what is wrong with it; its whole rows count."""
    try:
        rows = folder.read_history()
    except (OSError, ValueError, csv.Error) as error:
        return {}, [f"metrics.csv is damaged ({error}): no curves of it"]
    whole = [row for row in rows if None not in row.values() and None not in row and (row.get("epoch") or "").isdigit()]
    names = list(rows[0]) if rows else []
    columns = {name: [_cell(row[name]) for row in whole] for name in names if name is not None}
    if not rows:
        return {}, ["metrics.csv is missing or empty: no curves of it"]
    if len(whole) < len(rows):
        bad = len(rows) - len(whole)
        return columns if whole else {}, [f"metrics.csv is damaged: {bad} of its {len(rows)} rows left out"]
    return columns, []


def _cell(text: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:  # a column of words, such as the frozen groups
        return math.nan
