"""In which settings runs differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from polytag.sweep.override_text import override_text

# Where a run was written, how it was started and what it printed: nothing that scores depend on.
LEFT_OUT = (
    *("paths", "hydra", "logger", "sweep", "tags", "notes", "dry_run", "resume", "allow_changes"),
    *("print_config", "report", "callbacks.progress", "trainer.log_every_n_steps"),
    *("data.cache", "data.cache_gb", "data.cache_key", "data.num_workers"),  # the same samples, sooner
)
TARGET = "._target_"
ABSENT = "-"


class Absent:
    """The value of a key that a run does not have."""

    def __repr__(self) -> str:
        return ABSENT


NOTHING = Absent()


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys in which configs differ, each with its value in every config, `NOTHING` where one has it not.

    A node that is another function or class in some configs goes by its name: `criterion` instead of
    `criterion._target_`. Those of its values that differ only because other functions do not have them are left out.
    Of keys that end alike and always have the same values, such as `monitor.metric` and `callbacks.checkpoint.metric`,
    only the first is returned.
    """
    flat = [flattened(config) for config in configs]
    columns = {key: [one.get(key, NOTHING) for one in flat] for key in dict.fromkeys(k for one in flat for k in one)}
    varied = {key: values for key, values in columns.items() if len({repr(value) for value in values}) > 1}
    found: dict[str, list[Any]] = {}
    seen: set[tuple[str, str]] = set()
    for key, values in varied.items():
        mark = key.rpartition(".")[2], repr(values)
        there = {repr(value) for value in values if value is not NOTHING}
        if mark not in seen and not (len(there) == 1 and any(parent in varied for parent in _parents(key))):
            seen.add(mark)
            found[key] = values
    return found


def _parents(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config by full keys; a list is one value, of a `_target_` the last part counts."""
    flat: dict[str, Any] = {}
    _flatten(config, "", flat)
    return flat


def _flatten(node: Mapping[str, Any], prefix: str, flat: dict[str, Any]) -> None:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if any(key == left_out or key.startswith(f"{left_out}.") for left_out in LEFT_OUT):
            continue
        if isinstance(value, dict) and value:
            _flatten(value, f"{key}.", flat)
        elif key.endswith(TARGET):
            flat[key.removesuffix(TARGET)] = str(value).rpartition(".")[2]
        else:
            flat[key] = value


def differing_values(nodes: Sequence[Any]) -> list[str]:
    """Return for each of some nodes the values in which it is unlike others, `gamma=5`; of its class nothing."""
    columns = differing([{"node": node} for node in nodes])
    columns.pop("node", None)
    return [
        " ".join(
            f"{key.removeprefix('node.')}={text_of(values[place])}"
            for key, values in columns.items()
            if values[place] is not NOTHING
        )
        for place in range(len(nodes))
    ]


def target_name(node: Any) -> str:
    """Return the class or function that a node builds, without its module."""
    return str(node.get("_target_")).rpartition(".")[2] if isinstance(node, dict) else "unknown"


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def text_of(value: Any) -> str:
    """Return a value as the command line has it, long numbers rounded; a dash where a run has none."""
    if value is NOTHING:
        return ABSENT
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str).replace('"', "")
    return override_text(value) if isinstance(value, bool | int | None) else str(value)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each key without as many of its first parts as can be spared: `recipe.lr` is `lr` where no other is."""
    names: dict[str, str] = {}
    for key in keys:
        parts = key.split(".")
        tails = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        names[key] = next(
            tail
            for tail in tails
            if sum(other == tail or other.endswith(f".{tail}") for other in keys) == 1 or tail == key
        )
    return names


def groups_that_vary_together(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """Return keys with those that always change with them, such as all that `model=` chooses; the first of each group.

    A key with another value in most runs goes with none: two such keys may be nothing but numbers drawn at random.
    """
    groups: dict[tuple[object, ...], str] = {}
    found: dict[str, list[str]] = {}
    for key, values in columns.items():
        texts = [repr(value) for value in values]
        order = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        is_drawn = 2 * len(order) > len(texts)
        pattern: tuple[object, ...] = (key,) if is_drawn else tuple(order[text] for text in texts)
        first = groups.setdefault(pattern, key)
        if first == key:
            found[key] = []
        else:
            found[first].append(key)
    return found
