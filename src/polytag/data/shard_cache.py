"""The shards of a remote data set that are on this machine: fetched ahead, and deleted where room is short."""

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from filelock import FileLock

from polytag.data.storage import LOCAL
from polytag.errors import UserError

log = logging.getLogger(__name__)

INDEX = "index.json"
THREADS = 4  # shards that are fetched at the same time
RETRIES = 5  # of a request; litdata's default of 1,000 would hide a wrong address for hours


class Shard(NamedTuple):
    """A file of a data set: its name, how many bytes and samples it has."""

    file: str
    size: int
    samples: int


class ShardCache:
    """A folder with some of the shards of a remote data set. Any number of processes may share it.

    Args:
        remote: Address of the data set, such as `s3://bucket/folder`.
        folder: Where the shards of this data set go.
        limit: How many bytes they may take.
        options: For the client of the storage.

    Attributes:
        sizes: Bytes of each shard, by its name; known once the index is.
    """

    def __init__(self, remote: str, folder: Path, limit: float, options: Mapping[str, Any] | None = None) -> None:
        self.remote, self.folder, self.limit = remote.rstrip("/"), folder, limit
        self.options = dict(options or {})
        self.sizes: Mapping[str, int] = {}
        self._forget_process()

    def _forget_process(self) -> None:
        """Neither connections nor threads survive a fork."""
        self._process = os.getpid()
        self._last = ""  # which shard was used last: noting each use of each sample would take time
        self._downloader: Any = None
        self._wanted: SimpleQueue[str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        own = ("_process", "_last", "_downloader", "_wanted")
        return {key: value for key, value in self.__dict__.items() if key not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_process()

    def fetch_small(self, *names: str) -> None:
        """Fetch index and labels anew. Where the index is another one than before, the shards are forgotten.

        Raises:
            UserError: One of them cannot be fetched.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            for name in names:
                old, new = self.folder / name, self.folder / f"{name}.new"
                self._download(name, new)
                if name == INDEX and old.exists() and old.read_bytes() != new.read_bytes():
                    log.warning(f"{self.remote} has changed: what {self.folder} holds of it is fetched again.")
                    for file in self.folder.glob("*.bin"):
                        file.unlink(missing_ok=True)
                os.replace(new, old)

    def fetch(self, name: str) -> Path:
        """Return the file of a shard; wait for it where it has to be fetched.

        Raises:
            UserError: It cannot be fetched.
        """
        file = self.folder / name
        if not file.exists():
            self._bring(name)
        if name != self._last:
            self._last = name
            _touch(file)
        return file

    def want(self, name: str) -> None:
        """Begin to fetch a shard in the background. Whoever reads it hears of a failure."""
        if self._process != os.getpid():
            self._forget_process()
        if (self.folder / name).exists():
            _touch(self.folder / name)
            return
        if self._wanted is None:
            self._wanted = SimpleQueue()
            for _ in range(THREADS):  # daemons: nobody waits for them where the program ends
                threading.Thread(target=self._serve, args=(self._wanted,), daemon=True).start()
        self._wanted.put(name)

    def _serve(self, wanted: SimpleQueue[str]) -> None:
        while True:
            name = wanted.get()
            try:
                self._bring(name)
            except (UserError, OSError) as error:
                log.debug(error)

    def _bring(self, name: str) -> None:
        """Fetch a shard, or wait for the process or thread that fetches it."""
        file = self.folder / name
        with FileLock(f"{file}.lock"):
            if not file.exists():
                self._download(name, file)
                if (size := file.stat().st_size) < self.sizes[name]:
                    file.unlink()
                    cut = f"{size:,} of {self.sizes[name]:,} bytes"
                    raise UserError(f"{self.remote}/{name} is cut short ({cut}). Copy it there again.")
        self._make_room()

    def _make_room(self) -> None:
        """Delete the shards that were used longest ago, where they take too much. Whoever has one open reads on."""
        with FileLock(self.folder / ".lock"):
            there = sorted(_used(file) for name in self.sizes if (file := self.folder / name).exists())
            total = sum(size for _, size, _ in there)
            for _, size, file in there[:-1]:
                if total <= self.limit:
                    break
                file.unlink(missing_ok=True)
                total -= size

    def _download(self, name: str, file: Path) -> None:
        """Fetch a file; it appears whole or not at all. Nobody else may be at it."""
        if self._process != os.getpid():
            self._forget_process()
        partial = file.with_name(f"{file.name}.partial")
        try:
            with open(partial, "wb") as opened:
                if self.remote.startswith(LOCAL):
                    with open(f"{self.remote.removeprefix(LOCAL)}/{name}", "rb") as original:
                        shutil.copyfileobj(original, opened)
                else:
                    if self._downloader is None:
                        self._downloader = _downloader(self.remote, self.folder, self.options)
                    self._downloader.download_fileobj(f"{self.remote}/{name}", opened)
            os.replace(partial, file)
        except Exception as error:  # whatever the client of the storage raises
            partial.unlink(missing_ok=True)
            first = (str(error).strip().splitlines() or [""])[0]
            cure = (
                "Correct data.root, or give the credentials and options that the storage asks for (see docs/data.md)."
            )
            if self.remote.startswith(LOCAL):
                cure = "Correct data.root, or copy the data set there again."
            elif isinstance(error, ImportError):
                cure = "docs/data.md says what each storage needs."
            raise UserError(
                f"{self.remote}/{name} cannot be fetched ({type(error).__name__}: {first}). {cure}"
            ) from error


def cache_folder_of(parent: Path, remote: str) -> Path:
    """Return the folder for the shards of a remote data set, below one for all of them."""
    digest = hashlib.blake2b(remote.rstrip("/").encode(), digest_size=4).hexdigest()
    return parent / f"{remote.rstrip('/').rpartition('/')[2]}_{digest}"


def _downloader(remote: str, folder: Path, options: Mapping[str, Any]) -> Any:
    """Return litdata's client of a storage.

    Its `download_fileobj` is used and not its `download_file`: that one takes obstore, which in litdata 0.2.76 refuses
    addresses with http, and does not survive a fork.
    """
    from litdata.streaming.downloader import get_downloader

    given = dict(options)
    if remote.startswith("s3://") and "config" not in given:
        from botocore.config import Config

        given["config"] = Config(retries={"max_attempts": RETRIES, "mode": "standard"}, connect_timeout=10)
    return get_downloader(remote, str(folder), [], given)


def _touch(file: Path) -> None:
    """Note that a shard was used; another process may have deleted it meanwhile."""
    with suppress(FileNotFoundError):
        os.utime(file)


def _used(file: Path) -> tuple[float, int, Path]:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return 0.0, 0, file
    return stat.st_mtime, stat.st_size, file
