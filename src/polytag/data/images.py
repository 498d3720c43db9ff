"""From a file on disk to RGB uint8: the one place that decodes, and the check that a file is whole."""

import io
import os
import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from polytag.data.presize import Presize
from polytag.data.storage import FILES, Storage
from polytag.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")

# What a damaged file makes the three decoders raise, found by flipping and cutting bytes of valid files.
DAMAGE = (
    *(OSError, ValueError, TypeError, LookupError, SyntaxError, EOFError, MemoryError),
    *(struct.error, zlib.error, cv2.error, tifffile.TiffFileError, Image.DecompressionBombError),
)

# How OpenCV decodes a JPEG file at a part of its size. Only at its full size it can give RGB directly.
REDUCED = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# One process decodes one image at a time; the parallelism is in the loader's workers.
cv2.setNumThreads(0)


@dataclass(frozen=True)
class Decoder:
    """How a source's files become RGB. Ordinary files need no setting.

    Attributes:
        bands: Which bands of a file with more than 8 bits a band are red, green and blue, counted from 0.
        low: Value that becomes 0, for such a file.
        high: Value that becomes 255, for such a file. None: the largest value of its integer type.
    """

    bands: tuple[int, int, int] = (0, 1, 2)
    low: float = 0.0
    high: float | None = None

    def read(self, path: str | Path, presize: Presize | None = None, storage: Storage = FILES) -> npt.NDArray[np.uint8]:
        """Read an image as ``(H, W, 3)`` RGB uint8, whatever its mode (CMYK, RGBA, palette, gray, 16 bits).

        The EXIF orientation is applied, so a photograph stands as its viewer shows it.

        Args:
            path: The file, or what else the storage calls it.
            presize: What it is shrunk to; a JPEG file is then decoded at a half, a quarter or an eighth where that is
                enough, which is several times as fast.
            storage: Where it is.

        Raises:
            UserError: It is missing, cut short or no image.
        """
        name = storage.name(str(path))
        try:
            decoded = self._decode(storage.read(str(path)), presize)
            return decoded if presize is None else presize.shrink(decoded)
        except UserError:  # the storage says by itself what is wrong
            raise
        except FileNotFoundError as error:
            raise UserError(f"There is no image {name}.") from error
        except DAMAGE as error:
            raise UserError(f"The image {name} cannot be read ({_first_line(error)}). {storage.cure}") from error

    def _decode(self, content: bytes, presize: Presize | None = None) -> npt.NDArray[np.uint8]:
        if content[:4] in (b"II*\0", b"MM\0*"):
            with tifffile.TiffFile(io.BytesIO(content)) as tiff:
                page = tiff.pages.first
                if page.dtype is not None and page.dtype != np.uint8:
                    pixels = page.asarray()
                    return self._scale(np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels)
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "JPEG" and image.mode in ("RGB", "L"):
                # OpenCV decodes plain JPEG twice as fast as Pillow and applies the orientation too.
                flags = REDUCED[1 if presize is None else presize.reduction(image.height, image.width)]
                decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
                if decoded is None:
                    raise ValueError("JPEG data is damaged")
                is_rgb = flags == cv2.IMREAD_COLOR_RGB
                return np.asarray(decoded if is_rgb else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
            if image.mode.startswith("I") or image.mode == "F":
                return self._scale(np.asarray(image))
            return np.array(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)

    def _scale(self, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Pick the bands of a deep image, gray or with its bands last, and scale them linearly to 8 bits."""
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        else:
            if max(self.bands) >= pixels.shape[2]:
                raise ValueError(f"it has {pixels.shape[2]} bands, and bands {self.bands} are wanted")
            pixels = pixels[:, :, list(self.bands)]
        high = self.high
        if high is None:
            # Pillow widens 16-bit gray files to 32 bits, so the type's own maximum would be wrong for them.
            kind: np.dtype[Any] = np.dtype(np.uint16) if pixels.dtype == np.int32 else pixels.dtype
            high = float(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1.0
        scaled = (pixels.astype(np.float32) - self.low) * (255.0 / (high - self.low))
        rgb: npt.NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        return rgb


def _first_line(error: BaseException) -> str:
    text = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]


def find_damage(path: str | Path, *, whole: bool = False) -> str | None:
    """Say what is wrong with a file, or None when nothing is.

    The quick form reads the first and last bytes: a file that starts as JPEG or PNG and ends with its end marker
    passes. Only where that is not clear, or when `whole` is set, Pillow decodes the file to the end.
    """
    try:
        if not whole and _ends_as_it_should(path):
            return None
        return damage_of(Path(path).read_bytes())
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return _first_line(error)


def damage_of(content: bytes) -> str | None:
    """Say what is wrong with the bytes of a file, read to their end; None when nothing is."""
    if not content:
        return "the file is empty"
    try:
        if content[:4] in (b"II*\0", b"MM\0*"):
            Decoder(bands=(0, 0, 0))._decode(content)
            return None
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except DAMAGE as error:
        return _first_line(error)
    return None


def find_damaged(paths: Iterable[str], *, whole: bool = False, workers: int | None = None) -> dict[str, str]:
    """Return the damage of each damaged file among many, looked at in parallel."""
    listed = list(paths)
    with ThreadPoolExecutor(workers or min(16, 4 * (os.cpu_count() or 1))) as pool:
        found = pool.map(lambda path: find_damage(path, whole=whole), listed, chunksize=64)
        return {path: damage for path, damage in zip(listed, found, strict=True) if damage}


def _ends_as_it_should(path: str | Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(8)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 12))
        end = file.read()
    is_jpeg = start[:3] == b"\xff\xd8\xff" and end.rstrip(b"\0").endswith(b"\xff\xd9")
    is_png = start == b"\x89PNG\r\n\x1a\n" and end[4:8] == b"IEND"
    return is_jpeg or is_png
