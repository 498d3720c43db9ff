"""What a run leaves on disk: the names, writing, and reading back. Nothing here needs torch to be imported."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from polytag.errors import UserError, first_few

if TYPE_CHECKING:
    from omegaconf import DictConfig


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader finds the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def plain_values(config: "DictConfig", resolve: bool = True) -> dict[str, Any]:
    """Return a config as dicts, lists and plain values."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


class RunFolder:
    """A run's folder. See the table in docs/run_folder.md for what each file holds.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def existing(cls, path: str | Path) -> "RunFolder":
        """Return the folder of a run that somebody names.

        Raises:
            UserError: There is no such folder, or no run in it.
        """
        folder = cls(path)
        if not folder.path.is_dir():
            raise UserError(f"There is no run folder {path}. `train` prints the path of its own at the end.")
        if not folder.config_file.is_file():
            raise UserError(f"{path} is no run folder: it has no config.yaml.")
        return folder

    @property
    def config_file(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def summary_file(self) -> Path:
        """Scores, seconds, versions; written last, so its presence means that the run is done."""
        return self.path / "summary.json"

    @property
    def history_file(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def steps_file(self) -> Path:
        """One row an optimizer step."""
        return self.path / "steps.csv"

    @property
    def policy_file(self) -> Path:
        """How probabilities become labels."""
        return self.path / "policy.json"

    @property
    def model_file(self) -> Path:
        """The blocks of the network."""
        return self.path / "model.txt"

    @property
    def plots(self) -> Path:
        """The folder of pictures."""
        return self.path / "plots"

    @property
    def is_finished(self) -> bool:
        """Whether the run ended and was scored."""
        return self.summary_file.is_file()

    def checkpoint(self, name: str) -> Path:
        """Return where a checkpoint of this name is, or will be."""
        return self.path / "checkpoints" / f"{name}.ckpt"

    def find_checkpoint(self, name: str) -> Path:
        """Return the file of `best`, `last`, `phase_<k>` or of a path.

        Raises:
            UserError: There is none; the message lists those that are there.
        """
        there = {file.stem: file for file in sorted((self.path / "checkpoints").glob("*.ckpt"))}
        matches = [file for stem, file in there.items() if stem == name or stem.startswith(f"{name}_")]
        if matches:
            return matches[0]
        if Path(name).is_file():
            return Path(name)
        listed = f"It has {', '.join(there)}." if there else "It has none: it stopped before its first epoch ended."
        raise UserError(f"The run {self.path} has no checkpoint {name!r}. {listed}")

    def predictions(self, split: str) -> Path:
        """Return the file of a split's predictions."""
        return self.path / "predictions" / f"{split}.csv"

    def read_config(self) -> "DictConfig":
        """Return the config of the run.

        Raises:
            UserError: The file is damaged.
        """
        import yaml
        from omegaconf import DictConfig, OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            config = OmegaConf.load(self.config_file)
        except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
            raise UserError(f"{self.config_file} is damaged: {' '.join(str(error).split())}.") from error
        if not isinstance(config, DictConfig) or not config:
            raise UserError(f"{self.config_file} is damaged: it holds no settings.")
        return config

    def write_config(self, config: "DictConfig", again: bool = False) -> None:
        """Write the resolved config, once: a run that goes on keeps the first, unless its settings were changed."""
        from omegaconf import OmegaConf

        if again or not self.config_file.exists():
            write_atomically(self.config_file, OmegaConf.to_yaml(config, resolve=True))

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write one of the JSON files; an undefined number becomes null, which every reader understands."""
        write_atomically(path, json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """Return the content of summary.json.

        Raises:
            UserError: The run is not finished, or its summary is damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.summary_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"The run {self.path} is not finished. Go on with: train resume={self.path}") from error
        except ValueError as error:
            raise UserError(f"{self.summary_file} is damaged ({error}). Delete it; train resume={self.path}") from error
        return content

    def read_history(self) -> list[dict[str, str]]:
        """Return the rows of metrics.csv; none where there is no such file."""
        if not self.history_file.exists():
            return []
        with open(self.history_file, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def cut_history(self, epochs: int) -> None:
        """Keep only the rows of the first epochs."""
        rows = self.read_history()
        kept = [row for row in rows if int(row["epoch"]) < epochs]
        if len(kept) < len(rows):
            self._write_history(kept)

    def append_history(self, row: Mapping[str, Any]) -> None:
        """Add the row of an epoch. The file is written anew as a whole: it is small, and columns may join later."""
        self._write_history([*self.read_history(), {key: _cell(value) for key, value in row.items()}])

    def read_steps(self) -> list[dict[str, str]]:
        """Return the rows of steps.csv; none where there is no such file."""
        if not self.steps_file.exists():
            return []
        with open(self.steps_file, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def append_steps(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of some steps at the end, all with the same columns."""
        text = csv_text(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
        with open(self.steps_file, "a", encoding="utf-8") as file:
            file.write(text.split("\n", 1)[1] if file.tell() else text)

    def sync_steps(self) -> None:
        """See the rows of the steps onto the disk, as is done with checkpoints: a power failure then leaves no gap."""
        if self.steps_file.exists():
            with open(self.steps_file, "rb") as file:
                os.fsync(file.fileno())

    def cut_steps(self, steps: int) -> None:
        """Keep only the rows of the first steps, which are whole; whatever was cut off in writing comes behind them."""
        if self.steps_file.exists():
            lines = self.steps_file.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines[1:] if line.endswith("\n") and int(line.split(",", 1)[0]) <= steps]
            write_atomically(self.steps_file, "".join([*lines[:1], *kept]))

    def _write_history(self, rows: Sequence[Mapping[str, str]]) -> None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        write_atomically(self.history_file, csv_text(columns, [[row.get(c, "") for c in columns] for row in rows]))


def refuse_existing(file: Path, overwrite: bool) -> None:
    """Raise before any work is done where the result could not be written in the end.

    Raises:
        UserError: The file is there.
    """
    if file.exists() and not overwrite:
        raise UserError(f"{file} exists already. Name another out=..., or add overwrite=true.")


def write_predictions(
    path: Path,
    names: Sequence[str] | npt.NDArray[np.str_],
    classes: Sequence[str],
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    targets: npt.NDArray[np.generic] | None = None,
    tags: Sequence[str] | None = None,
) -> None:
    """Write `image`, one probability column a class, and the tags or one `true_<class>` column a class behind them.

    A true label is 1, 0, or -1 where it is unknown.
    """
    columns = ["image", *classes]
    # As many digits as it takes to read the same number again: scores of stored predictions are those of the run.
    rows = [[str(n), *(str(p) for p in row)] for n, row in zip(names, probabilities, strict=True)]
    if tags is not None:
        columns.append("tags")
        rows = [[*row, tag] for row, tag in zip(rows, tags, strict=True)]
    if targets is not None:
        columns += [f"true_{name}" for name in classes]
        rows = [[*row, *(str(int(t)) for t in target)] for row, target in zip(rows, targets, strict=True)]
    write_atomically(path, csv_text(columns, rows))


@dataclass(frozen=True)
class Predictions:
    """What a file of predictions holds: `names` of the N images, ``(N, L)`` probabilities and int8 targets."""

    names: npt.NDArray[np.str_]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int8]


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote, with targets.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        count = (len(header) - 1) // 2
        classes = tuple(header[1 : 1 + count])
        if header != ["image", *classes, *(f"true_{name}" for name in classes)]:
            raise ValueError("its columns are not image, the classes, and true_<class> for each")
        numbers = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), 2, count)
    except FileNotFoundError as error:
        raise UserError(f"There are no stored predictions {path}: `train` writes those of val and test.") from error
    except ValueError as error:
        raise UserError(
            f"{path} holds no predictions of a run ({error}). `evaluate` makes them anew with predictions=computed."
        ) from error
    names = np.array([row[0] for row in rows], dtype=np.str_)
    return Predictions(names, classes, numbers[:, 0].astype(np.float32), numbers[:, 1].astype(np.int8))


def check_separator(classes: Sequence[str], separator: str) -> None:
    """Refuse a separator that a class name holds: the tags could not be taken apart again.

    Raises:
        UserError: The names, and a separator that does.
    """
    if ambiguous := [name for name in classes if separator in name]:
        raise UserError(
            f"The class names {first_few(repr(a) for a in ambiguous)} hold the separator {separator!r} of the tags: "
            "add \"separator=';'\" to the command, quotes and all."
        )


def tag_text(decisions: npt.NDArray[np.generic], classes: Sequence[str], separator: str = " ") -> list[str]:
    """Return the chosen names of each row of an ``(N, L)`` matrix, joined; empty where none is chosen."""
    return [separator.join(name for name, chosen in zip(classes, row, strict=True) if chosen) for row in decisions]


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the text of a CSV file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Return a value that JSON knows: NaN and infinity become None, numpy numbers plain ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
