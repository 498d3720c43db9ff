"""When two jobs are the same one: their overrides say so, without what changes no result."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from polytag.sweep.override_text import override_text, parse_override

# Where a job runs and what is told about it; `sweep` also as a config group, whose values are among the overrides.
IGNORED = ("sweep", "hydra", "launcher", "logger", "dry_run", "print_config", "report")


def job_key(overrides: Iterable[str]) -> str:
    """Return the identity of a job: a hash of its overrides in any order and spelling; the last one of a key counts."""
    parts = dict(part for part in map(_part, overrides) if part is not None)
    lines = sorted(f"{key}={value}" for key, value in parts.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_ignored(text: str) -> bool:
    """Whether an override changes no result of a job."""
    return parse_override(text).key_or_group.replace("/", ".").split(".")[0] in IGNORED


@lru_cache(maxsize=4096)  # a grid's jobs share most of theirs, and Hydra's parser takes its time
def _part(text: str) -> tuple[str, str] | None:
    if is_ignored(text):
        return None
    override = parse_override(text)
    key = override.get_key_element().lstrip("+")
    return key, override_text(override.value())
