"""Optuna's storages, such that a process may be killed at any moment: SQLite on one machine, a journal on several."""

import json
import os
import sqlite3
from pathlib import Path
from typing import BinaryIO

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.pool import NullPool

from polytag.errors import UserError
from polytag.sweep.file_lock import FileLock

SQLITE, JOURNAL = ".db", ".journal"
TIMEOUT = 60.0  # seconds that SQLite waits for a reader; writers wait for the lock
CHUNK = 1 << 16


def lock_of(file: Path) -> FileLock:
    """Return the lock of a ledger. Its name is not that of Optuna's own lock, which another tool would delete."""
    return FileLock(file.with_name(f".{file.name}.lock"))


def open_storage(file: Path, lock: FileLock) -> BaseStorage:
    """Return the storage that the file's name asks for, made where it is missing; the lock must be held."""
    if file.suffix == SQLITE:
        return _sqlite(file)
    if file.suffix == JOURNAL:
        file.touch()
        heal(file)
        return JournalStorage(JournalFileBackend(str(file), lock_obj=_JournalLock(file, lock)))
    raise UserError(f"{file.name} is no name of a ledger: it ends in {SQLITE} (one machine) or {JOURNAL} (several).")


def _sqlite(file: Path) -> RDBStorage:
    """Return a storage that has a connection during a transaction only: nothing to close, nothing for a fork to share.

    No WAL: its index is shared memory, so it is not for network file systems; and as the lock lets one writer in at a
    time, it would gain a few milliseconds a job.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(file, timeout=TIMEOUT)
        connection.execute("PRAGMA journal_mode=TRUNCATE")  # deleting its journal each time takes twice as long
        return connection

    # Not as a URL: Optuna formats that as a template, and paths may hold braces, question marks and percent signs.
    return RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})


class _JournalLock(JournalFileOpenLock):  # the base of Optuna's locks is not public
    """The ledger's lock, for Optuna's journal; whoever takes it mends the journal first."""

    def __init__(self, file: Path, lock: FileLock) -> None:
        self.file = file
        self.lock = lock

    def acquire(self) -> bool:
        self.lock.__enter__()
        try:
            heal(self.file)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        self.lock.__exit__(None, None, None)


def heal(file: Path) -> None:
    """Cut off the last line of a journal where its writer died in the middle of it; the lock must be held.

    Optuna skips an unfinished last line, but the next line is then written behind it, and from there on nobody can
    read the journal: https://github.com/optuna/optuna/issues/5138. Only the last line can be torn, as each is on the
    disk before the lock is free; what nobody was told of is not lost.
    """
    with open(file, "rb+") as journal:
        start, line = _last_line(journal)
        if line and not _is_whole(line):
            journal.truncate(start)
            journal.flush()
            os.fsync(journal.fileno())


def _last_line(journal: BinaryIO) -> tuple[int, bytes]:
    """Return where the last line starts, and the line with its end."""
    end = start = journal.seek(0, os.SEEK_END)
    line = b""
    while start > 0 and b"\n" not in line[:-1]:
        start = max(0, start - CHUNK)
        journal.seek(start)
        line = journal.read(end - start)
    behind_newline = line[:-1].rfind(b"\n") + 1
    return start + behind_newline, line[behind_newline:]


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")
