"""What is in W&B's offline files, read back with W&B's own reader: `wandb leet inspect --json`."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.util import get_core_path


@dataclass
class Recorded:
    """One offline run.

    Attributes:
        folder: W&B's, of this run.
        run: Its record, as far as it is not empty: run_id, run_group, display_name, job_type, tags, notes, git.
        config: Plain values.
        history: The rows of numbers and media, in their order.
        summary: The last values.
        metrics: The records of `define_metric` by name or glob.
        artifacts: Records of those that were sent.
        exit_code: None where the run was never closed.
    """

    folder: Path
    run: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def rows(self, *names: str) -> list[dict[str, Any]]:
        """Return those rows of the history that have all of these names."""
        return [row for row in self.history if set(names) <= set(row)]

    def table(self, name: str) -> tuple[list[str], list[list[Any]]]:
        """Return columns and rows of the one table of this name."""
        (row,) = self.rows(name)
        content = json.loads((self.folder / "files" / row[name]["path"]).read_text())
        return content["columns"], content["data"]


def offline_runs(run_folder: Path) -> list[Path]:
    """Return the folders of W&B's offline runs below a run folder, the oldest first."""
    return sorted((run_folder / "wandb").glob("offline-run-*"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def read_offline(folder: Path) -> Recorded:
    """Return the content of one offline run."""
    wandb.teardown()  # its service may be writing yet
    (file,) = folder.glob("run-*.wandb")
    # What the command starts; by itself it takes a second to be imported.
    command = [get_core_path(), "leet", "inspect", "--json", "--no-observability", f"--run-file={file}"]
    done = subprocess.run([*command, str(folder.parent)], capture_output=True, text=True, check=True)
    recorded = Recorded(folder)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        _take(recorded, record["type"], record.get(record["type"], {}))
    return recorded


def _take(recorded: Recorded, kind: str, content: dict[str, Any]) -> None:
    if kind == "run":
        recorded.run = content
    elif kind == "config":
        recorded.config |= content["update"]
    elif kind == "history":
        recorded.history.append(_nested(content["item"]))
    elif kind == "summary":
        recorded.summary |= _nested(content["update"])
    elif kind == "metric":
        recorded.metrics[content.get("name") or content["glob_name"]] = content
    elif kind == "artifact":
        recorded.artifacts.append(content)
    elif kind == "exit":
        recorded.exit_code = content.get("exit_code", 0)


def _nested(items: dict[str, Any]) -> dict[str, Any]:
    """Return values by name; the parts of a picture, table or best value, `name.part`, are put together again."""
    values: dict[str, Any] = {}
    for key, value in items.items():
        name, dot, part = key.rpartition(".")
        if dot:
            values.setdefault(name, {})[part] = value
        else:
            values[key] = value
    return values
