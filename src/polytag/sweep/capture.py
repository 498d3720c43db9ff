"""Where the jobs of a sweep print to, so that the sweep's own table stays in sight."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from polytag.tracking.console import look_again

OUTPUT_FILE = "output.log"


def console_of_sweep() -> Console:
    """Return a console that still prints to where this process does while a job's output is captured."""
    return Console(file=os.fdopen(os.dup(1), "w", encoding="utf-8")) if _prints_to_descriptors() else Console()


@contextmanager
def captured(folder: Path) -> Iterator[None]:
    """Send what this process prints to a file in a job's folder."""
    if not _prints_to_descriptors():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    before = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        with open(folder / OUTPUT_FILE, "ab") as file:
            _redirect([file.fileno()] * 2)
            yield
    finally:
        _redirect(before)
        for descriptor in before:
            os.close(descriptor)


def _redirect(targets: Sequence[int]) -> None:
    for stream, descriptor, target in zip((sys.stdout, sys.stderr), (1, 2), targets, strict=True):
        stream.flush()
        os.dup2(target, descriptor)
    look_again()


def _prints_to_descriptors() -> bool:
    """Whether Python prints to the process's own output, and not to what a test or a notebook has put in its place."""
    try:
        return sys.stdout.fileno() == 1
    except (OSError, ValueError):
        return False
