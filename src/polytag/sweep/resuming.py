"""`train -m sweep.resume=NAME`: the command line of a sweep, taken from its ledger."""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from polytag.commands import conf_dir
from polytag.errors import UserError, did_you_mean
from polytag.sweep.options import STORAGES

KEY = "sweep.resume"


def take_sweep_from_ledger(overrides: Sequence[str]) -> list[str]:
    """For `sweep.resume=NAME`, return the overrides of that sweep's last command; those given beside it come first.

    Raises:
        UserError: There is no such sweep, or `-m` is missing.
    """
    given = {o.get_key_element().lstrip("+~"): o for o in OverridesParser.create().parse_overrides(list(overrides))}
    if KEY not in given or given[KEY].value() is None:
        return []
    if not {"-m", "--multirun"} & set(sys.argv):
        raise UserError(f"{KEY} goes on with many runs, and needs -m: train -m {KEY}=NAME")
    logs = given["paths.logs"].value() if "paths.logs" in given else _default_logs()
    folder = sweep_folder(str(given[KEY].value()), Path(str(logs)))

    from polytag.sweep.ledger import Ledger
    from polytag.sweep.override_text import override_text, parse_override

    file = next(folder / name for name in STORAGES.values() if (folder / name).exists())
    stored = [
        text for text in Ledger.open(file).settings.arguments if parse_override(text).key_or_group != "sweep.name"
    ]
    kept = [text for text in stored if parse_override(text).get_key_element().lstrip("+~") not in given]
    return [*kept, f"sweep.name={override_text(folder.name)}"]


def sweep_folder(name: str, logs: Path) -> Path:
    """Return the folder of a sweep.

    Args:
        name: Of the sweep, or its folder.
        logs: Where sweeps are, in a folder `sweep` or, those of `debug=...`, in `debug`.

    Raises:
        UserError: None has the name; near ones are named.
    """
    places = [logs / "sweep" / name, logs / "debug" / name, Path(name)]
    for place in places:
        if any((place / file).exists() for file in STORAGES.values()):
            return place.absolute()
    patterns = [f"{kind}/*/{one}" for kind in ("sweep", "debug") for one in STORAGES.values()]
    files = [file for pattern in patterns for file in logs.glob(pattern)]
    there = [file.parent.name for file in sorted(files, key=lambda file: file.stat().st_mtime)]
    listed = f" There: {', '.join(there[-10:])}." if there else ""
    raise UserError(f"There is no sweep {name} in {logs / 'sweep'}.{did_you_mean(name, there)}{listed}")


def _default_logs() -> str:
    with open(conf_dir() / "paths" / "default.yaml", encoding="utf-8") as file:
        return str(yaml.safe_load(file)["logs"])
