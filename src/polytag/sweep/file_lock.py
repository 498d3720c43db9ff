"""A lock between processes that the death of its holder frees."""

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from polytag.errors import UserError


class FileLock:
    """An flock on a file, waited for inside the kernel; the same thread may take it again.

    The kernel frees it when its holder dies, kill -9 included, and on NFS a server does when the holder's lease ends.
    Locks that are files, such as Optuna's, stay behind and block the others for half a minute, or for ever:
    https://github.com/optuna/optuna/issues/5921. `filelock` asks again and again, which lets four busy writers wait
    long; flock has a queue.

    Args:
        file: Made where it is missing, and left there: whoever deletes a lock's file makes two locks of one.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._thread = threading.RLock()
        self._depth = 0
        self._descriptor = -1

    def __enter__(self) -> None:
        self._thread.acquire()
        try:
            if self._depth == 0:
                self._descriptor = self._lock()
        except BaseException:
            self._thread.release()
            raise
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            os.close(self._descriptor)
        self._thread.release()

    def _lock(self) -> int:
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            os.close(descriptor)
            raise UserError(
                f"The file system of {self.file.parent} has no file locks ({error.strerror}): put the sweep's folder "
                "on another one, or have it mounted with them (Lustre: the option flock)."
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
