"""Who has a job, and whether they live: processes here by their number and start, others by a file's age."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

HEARTBEAT_FILE = ".alive"
BEAT, SILENCE = 10.0, 60.0  # seconds between two beats, and without one until a process counts as dead
ZOMBIE = "Z"


@dataclass(frozen=True)
class Owner:
    """A process that has a job.

    Attributes:
        host: Name of its machine, for people.
        system: What its process number is counted in: the host since it was started, or a container there.
        pid: Number of the process.
        start: When the process was started; numbers are used again.
        slurm: Id of its Slurm job, `<array job>_<task>` of an array's; None outside Slurm.
    """

    host: str
    system: str
    pid: int
    start: str
    slurm: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the owner as plain data."""
        return asdict(self)

    @staticmethod
    def of(content: Mapping[str, Any] | None) -> "Owner | None":
        """Return the owner that `as_dict` has written."""
        return None if content is None else Owner(**content)


def this_process() -> Owner:
    """Return the owner that this process is."""
    pid = os.getpid()
    start = _start_of(pid)
    assert start is not None, "a process that runs has a start"
    return Owner(socket.gethostname(), _system(), pid, start, _slurm_id(os.environ))


def is_alive(owner: Owner, heartbeat_file: Path) -> bool:
    """Say whether an owner still works on its job.

    Args:
        owner: As `this_process` has it in the owner's process.
        heartbeat_file: That the owner touches; asked only where the owner's processes cannot be seen from here.
    """
    if owner.system == _system():
        return _start_of(owner.pid) == owner.start
    try:
        # NFS may answer a stat from a minute's memory, but asks the server where a file is opened.
        with open(heartbeat_file, "rb") as file:
            return time.time() - os.fstat(file.fileno()).st_mtime < SILENCE
    except OSError:
        return False


class Heartbeat:
    """Touches a file every ten seconds, from a thread that ends with the process."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _beat_on(self) -> None:
        while not self._stopped.wait(BEAT):
            try:
                self.file.touch()
            except OSError:  # a full disk or a server that is away must not silence it for ever
                continue


@cache
def _system() -> str:
    """Return what process numbers are counted in; two containers may share a host's name and its numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return socket.gethostname()


def _start_of(pid: int) -> str | None:
    """Return when a process was started; None where there is none, or only what is left of one that ended."""
    if not Path("/proc/self/stat").exists():
        return _start_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name in brackets may hold anything
    return None if state == ZOMBIE else fields[18]  # field 22 of proc(5), in ticks since the boot


def _start_by_ps(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _slurm_id(environment: Mapping[str, str]) -> str | None:
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")
