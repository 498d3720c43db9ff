"""The job's side of the ledger: it takes the job, shows that it lives, and tells how it goes."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from polytag.sweep.heartbeat import HEARTBEAT_FILE, Heartbeat, this_process
from polytag.sweep.ledger import Ledger


class JobTakenError(RuntimeError):
    """The job is finished, or another process works on it: nothing is left to do here."""


class JobRecord:
    """What a job's process tells the ledger, from its start to its end; a context.

    An exception makes the job failed, and so does an end without a score. An exception that asks the process to go,
    such as KeyboardInterrupt or SystemExit, makes it pending again. A process that is killed says nothing: its
    heartbeat ends, and somebody else may take the job.

    Args:
        file: Of the ledger.
        number: Of the job.
        folder: Where the job writes; `<number>` beside the ledger if not given.
    """

    def __init__(self, file: Path, number: int, folder: Path | None = None) -> None:
        self.ledger = Ledger.open(file)
        self.number = number
        self.folder = folder or self.ledger.file.parent / str(number)
        self._stack = ExitStack()
        self._start = time.monotonic()

    def __enter__(self) -> "JobRecord":
        if not self.ledger.claim(self.number, this_process(), self.folder):
            raise JobTakenError(f"Job {self.number} is finished, or runs elsewhere.")
        self._stack.enter_context(Heartbeat(self.folder / HEARTBEAT_FILE))
        self._start = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is None:  # none of these changes a job that is finished
            self.ledger.fail(self.number, "It ended without a score.", self.seconds)
        elif isinstance(error, Exception):
            self.ledger.fail(self.number, f"{type(error).__name__}: {error}", self.seconds)
        else:
            self.ledger.release(self.number)

    @property
    def seconds(self) -> float:
        """How long this attempt has taken."""
        return time.monotonic() - self._start

    def report(self, step: int, value: float) -> None:
        """Store the score after a step, such as an epoch."""
        self.ledger.report(self.number, step, value)

    def should_prune(self) -> bool:
        """Say whether the sweep has seen enough of this job."""
        return self.ledger.should_prune(self.number)

    def finish(self, values: Sequence[float]) -> bool:
        """Make the job done."""
        return self.ledger.finish(self.number, values, self.seconds)

    def prune(self, value: float) -> bool:
        """Make the job pruned, with its last or best score."""
        return self.ledger.prune(self.number, value, self.seconds)
