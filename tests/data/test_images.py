"""Whatever the file's mode, a decoder gives RGB uint8 with the right colours; damage is found and named."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from fake.images import write_image
from fake.planet import write_tif
from PIL import Image

from polytag.data.images import Decoder, find_damage, find_damaged
from polytag.errors import UserError

# Left half orange, right half blue: no channel order but the right one gives these numbers.
ORANGE, BLUE = (230, 120, 20), (10, 40, 200)


def two_colours() -> np.ndarray:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, :12], pixels[:, 12:] = ORANGE, BLUE
    return pixels


def assert_colours(pixels: np.ndarray, tolerance: int = 0) -> None:
    assert pixels.dtype == np.uint8 and pixels.shape == (16, 24, 3)
    np.testing.assert_allclose(pixels[8, 4].astype(int), ORANGE, atol=tolerance)
    np.testing.assert_allclose(pixels[8, 20].astype(int), BLUE, atol=tolerance)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".webp", ".jpg"])
def test_every_suffix_gives_the_same_colours(tmp_path: Path, suffix: str) -> None:
    exact = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    path = write_image(tmp_path / f"a{suffix}", two_colours(), **exact.get(suffix, {}))
    assert_colours(Decoder().read(path), tolerance=3 if suffix == ".jpg" else 0)
    assert find_damage(path) is None


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.fromarray(two_colours()).convert("CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    assert_colours(Decoder().read(tmp_path / "a.jpg"), tolerance=4)


def test_transparent_and_palette_png(tmp_path: Path) -> None:
    Image.fromarray(two_colours()).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(two_colours()).quantize(2).save(tmp_path / "palette.png")
    Image.fromarray(two_colours()).quantize(2).save(tmp_path / "palette.gif")
    for name in ("rgba.png", "palette.png", "palette.gif"):
        assert_colours(Decoder().read(tmp_path / name), tolerance=1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_gray_fills_three_channels(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.full((16, 24), 77, np.uint8)).save(tmp_path / f"a{suffix}")
    pixels = Decoder().read(tmp_path / f"a{suffix}")
    assert pixels.shape == (16, 24, 3) and (pixels == 77).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_of_16_bits_is_scaled_to_its_full_range(tmp_path: Path, suffix: str) -> None:
    gray = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(gray).save(tmp_path / f"a{suffix}")
    pixels = Decoder().read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(pixels[0, :, 0], [0, 1, 128, 255])
    np.testing.assert_array_equal(pixels[0, :, 2], [0, 1, 128, 255])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_exif_orientation_is_applied(tmp_path: Path, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side: viewers turn it clockwise
    upright = np.zeros((40, 24, 3), np.uint8)
    upright[:20] = 255
    Image.fromarray(np.rot90(upright)).convert(mode).save(tmp_path / "a.jpg", exif=exif)
    pixels = Decoder().read(tmp_path / "a.jpg")
    assert pixels.shape == (40, 24, 3)
    assert pixels[:16].min() > 240 and pixels[24:].max() < 15


def test_planet_tif_bands_and_scale(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", two_colours())
    assert_colours(Decoder(bands=(2, 1, 0), low=0, high=10000).read(path))


def test_tif_values_outside_of_the_range_are_clipped(tmp_path: Path) -> None:
    bands = np.zeros((1, 4, 4), np.uint16)
    bands[0, :, 2] = [0, 1000, 6000, 40000]  # the third band is red
    tifffile.imwrite(tmp_path / "a.tif", bands, photometric="minisblack", planarconfig="contig")
    red = Decoder(bands=(2, 1, 0), low=1000, high=11000).read(tmp_path / "a.tif")[0, :, 0]
    np.testing.assert_array_equal(red, [0, 0, 128, 255])  # 5,000 of 10,000 is 127.5, rounded to even


def test_planar_tif_is_read_alike(tmp_path: Path) -> None:
    deep = two_colours().astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate")
    assert_colours(Decoder().read(tmp_path / "a.tif"))


def test_too_few_bands_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((8, 8, 2), np.uint16), photometric="minisblack", planarconfig="contig"
    )
    with pytest.raises(UserError, match="2 bands"):
        Decoder(bands=(2, 1, 0)).read(tmp_path / "a.tif")


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".gif", ".tif", ".ppm"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_cut_file_is_found_and_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = write_image(tmp_path / f"a{suffix}", noise())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert find_damage(path)
    with pytest.raises(UserError, match="cannot be read"):
        Decoder().read(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_cut_16_bit_tif_is_found_and_refused(tmp_path: Path, compression: str | None) -> None:
    deep = noise().astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", compression=compression)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    damage = find_damage(tmp_path / "a.tif")
    assert damage and "check-data" not in damage
    with pytest.raises(UserError, match="cannot be read"):
        Decoder().read(tmp_path / "a.tif")


@pytest.mark.filterwarnings("ignore")
def test_changed_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise().astype(np.uint16), photometric="rgb", compression="zlib")
    write_image(tmp_path / "a.bmp", noise())
    rng = np.random.default_rng(1)
    for path in (tmp_path / "a.tif", tmp_path / "a.bmp"):
        whole = path.read_bytes()
        for _ in range(60):
            content = bytearray(whole)
            for place in rng.integers(4, 300, 8):  # the header's fields; the first bytes say what it is
                content[place] = rng.integers(256)
            path.write_bytes(content)
            try:
                Decoder().read(path)
            except UserError:
                find_damage(path)


def test_an_end_marker_followed_by_other_bytes_is_whole(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", noise())
    path.write_bytes(path.read_bytes() + b"some telephones append their own data")
    assert find_damage(path) is None


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>Please log in</html>")
    good = write_image(tmp_path / "b.jpg", noise())
    found = find_damaged([str(tmp_path / "a.jpg"), str(good), str(tmp_path / "c.jpg")])
    assert found == {str(tmp_path / "a.jpg"): "not an image", str(tmp_path / "c.jpg"): "the file is missing"}
    with pytest.raises(UserError, match="There is no image"):
        Decoder().read(tmp_path / "c.jpg")
