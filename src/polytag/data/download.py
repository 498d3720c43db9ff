"""Fetch a published data set: whole and checked, or not at all."""

import hashlib
import http.client
import logging
import lzma
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path

from polytag.data.files import list_images
from polytag.data.images import find_damaged
from polytag.errors import UserError, first_few

log = logging.getLogger(__name__)

SILENCE = 60.0  # seconds without a byte after which a server counts as unreachable
TROUBLE = (
    *(OSError, ValueError, http.client.HTTPException),
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError),
)


def fetch(
    url: str,
    folder: Path,
    *,
    wanted: str,
    expected_files: int | None = None,
    size: int | None = None,
    md5: str | None = None,
    md5_bytes: int | None = None,
) -> None:
    """Download an archive and unpack it as `folder`; where `wanted` lies there already, do nothing.

    All happens in a temporary folder beside the target, which takes the target's name at the very end: what is left
    after a failure is what was there before, and two jobs that fetch at once do not disturb one another.

    Args:
        url: Address of a zip or tar archive.
        folder: What the archive's content becomes; it may exist if it is empty.
        wanted: A file that the folder must hold. The folder of the archive in which it lies is taken.
        expected_files: Number of images below the folder, for archives without a checksum; each must be whole.
        size: Bytes of the archive that its publisher states.
        md5: MD5 in hexadecimal digits that its publisher states.
        md5_bytes: How many first bytes the MD5 is of; None: all.

    Raises:
        UserError: The server, the archive or its content is not as it should be, or the folder holds something else.
    """
    folder = folder.expanduser().resolve()
    if (folder / wanted).exists():
        return
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty and has no {wanted}: empty it, or download to another data.root.")
    log.info("Downloading %s to %s", url, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
            archive, content = Path(work, "archive"), Path(work, "content")
            _stream(url, archive)
            _check_archive(archive, size, md5, md5_bytes)
            _unpack(archive, content)
            found = _find(content, wanted)
            if expected_files is not None:
                _check_images(found, expected_files)
            _move(found, folder, wanted)
    except TROUBLE as error:
        raise UserError(
            f"Fetching {url} failed: {error}. Nothing was changed; by hand: download it with a browser "
            f"and unpack it so that {folder / wanted} exists."
        ) from error


def _stream(url: str, archive: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "polytag"})
    try:
        with urllib.request.urlopen(request, timeout=SILENCE) as response, archive.open("wb") as out:
            shutil.copyfileobj(response, out, 2**20)
            announced = response.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        error.close()  # it is the reply too, with its connection open
        raise
    if announced and archive.stat().st_size != int(announced):
        raise ValueError(f"the connection broke after {archive.stat().st_size:,} of {int(announced):,} bytes")


def _check_archive(archive: Path, size: int | None, md5: str | None, md5_bytes: int | None) -> None:
    found = archive.stat().st_size
    if size is not None and found != size:
        raise ValueError(f"it has {found:,} bytes, its publisher states {size:,}")
    if md5 is None:
        return
    with archive.open("rb") as file:
        if md5_bytes is None:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        else:
            digest = hashlib.md5(file.read(md5_bytes), usedforsecurity=False).hexdigest()
    if digest != md5:
        raise ValueError(f"its MD5 is {digest}, its publisher states {md5}")


def _unpack(archive: Path, content: Path) -> None:
    """Unpack a zip or tar archive of which no member may lie outside of the folder."""
    content.mkdir()
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                # zipfile would quietly put such a member elsewhere; an archive that tries it is not to be trusted.
                if not (content / name).resolve().is_relative_to(content.resolve()):
                    raise ValueError(f"its member {name!r} points outside of the folder")
            packed.extractall(content)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed_tar:
            packed_tar.extractall(content, filter="data")
    else:
        raise ValueError("what came is neither a zip nor a tar archive, or is cut short")


def _find(content: Path, wanted: str) -> Path:
    found = [path for path in content.rglob(Path(wanted).name) if path.as_posix().endswith(f"/{wanted}")]
    if not found:
        raise ValueError(f"the archive holds no {wanted}")
    nearest = min(found, key=lambda path: (len(path.parts), path))
    return nearest.parents[len(Path(wanted).parts) - 1]


def _check_images(folder: Path, expected: int) -> None:
    images = list_images(folder)
    if len(images) != expected:
        raise ValueError(f"the archive holds {len(images):,} images, {expected:,} are expected")
    if damaged := find_damaged(str(folder / image) for image in images):
        names = [str(Path(path).relative_to(folder)) for path in damaged]
        raise ValueError(f"the archive has damaged images: {first_few(names)}")


def _move(found: Path, folder: Path, wanted: str) -> None:
    try:
        os.replace(found, folder)
    except OSError:
        if not (folder / wanted).exists():  # else another job was faster
            raise
