"""Archives in memory."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def content_of(folder: Path, top: str = "") -> dict[str, bytes]:
    """Return the files below a folder by their name in an archive, under `top/` where it is given."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {(Path(top) / path.relative_to(folder)).as_posix(): path.read_bytes() for path in files}


def make_tgz(members: Mapping[str, bytes]) -> bytes:
    """Return a .tgz of the members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_zip(members: Mapping[str, bytes]) -> bytes:
    """Return a .zip of the members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
