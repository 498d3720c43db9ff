"""A download is whole and checked, or leaves nothing; against a server on this machine."""

import hashlib
import socket
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake.archives import content_of, make_tgz, make_zip
from fake.miml import make_miml
from fake.server import Site, serve

from polytag.data.download import fetch
from polytag.errors import UserError

Pack = Callable[[dict[str, bytes]], bytes]
WANTED = "miml_labels_1.csv"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as running:
        yield running


@pytest.fixture
def members(tmp_path: Path) -> dict[str, bytes]:
    """What a publisher packs: four images and two label files below a folder of their own."""
    make_miml(tmp_path / "published", rows=4)
    return content_of(tmp_path / "published", top="miml_dataset")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder in which data sets are to lie; it is not there yet."""
    return tmp_path / "data"


def assert_refused(site: Site, data: Path, word: str, **options: object) -> None:
    with pytest.raises(UserError) as caught:
        fetch(f"{site.address}/a", data / "miml", wanted=WANTED, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert f"{site.address}/a failed" in message and word in message and "by hand" in message, message
    assert "\n" not in message
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("pack", [make_tgz, make_zip])
@pytest.mark.parametrize("top", [True, False])
def test_fetch_once(site: Site, data: Path, members: dict[str, bytes], pack: Pack, top: bool) -> None:
    packed = members if top else {name.removeprefix("miml_dataset/"): content for name, content in members.items()}
    site.files["/a"] = pack(packed | {"__MACOSX/._x.jpg": b"junk"})
    for _ in range(2):
        fetch(f"{site.address}/a", data / "miml", wanted=WANTED, expected_files=4)
    assert site.asked == ["/a"]
    assert (data / "miml" / WANTED).read_bytes() == members[f"miml_dataset/{WANTED}"]
    assert (data / "miml" / "images" / "3.jpg").read_bytes() == members["miml_dataset/images/3.jpg"]
    assert [path.name for path in data.iterdir()] == ["miml"]


def test_an_empty_folder_is_filled_and_another_one_left_alone(
    site: Site, data: Path, members: dict[str, bytes]
) -> None:
    site.files["/a"] = make_zip(members)
    (data / "mine").mkdir(parents=True)
    (data / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="is not empty"):
        fetch(f"{site.address}/a", data / "mine", wanted=WANTED)
    assert site.asked == []
    (data / "miml").mkdir()
    fetch(f"{site.address}/a", data / "miml", wanted=WANTED)
    assert (data / "miml" / WANTED).exists()


def test_a_link_to_a_folder_elsewhere_is_filled(
    site: Site, data: Path, members: dict[str, bytes], tmp_path: Path
) -> None:
    site.files["/a"] = make_zip(members)
    (tmp_path / "big_disk").mkdir()
    data.mkdir()
    (data / "miml").symlink_to(tmp_path / "big_disk")
    fetch(f"{site.address}/a", data / "miml", wanted=WANTED)
    assert (data / "miml").is_symlink() and (tmp_path / "big_disk" / WANTED).exists()


def test_checksums(site: Site, data: Path, members: dict[str, bytes]) -> None:
    archive = site.files["/a"] = make_tgz(members)
    assert_refused(site, data, "its publisher states 7", size=7)
    assert_refused(site, data, hashlib.md5(archive).hexdigest(), md5="0" * 32)
    assert_refused(site, data, "its publisher states", md5=hashlib.md5(archive).hexdigest(), md5_bytes=100)
    start = hashlib.md5(archive[:100]).hexdigest()
    fetch(f"{site.address}/a", data / "miml", wanted=WANTED, size=len(archive), md5=start, md5_bytes=100)
    fetch(f"{site.address}/a", data / "again", wanted=WANTED, md5=hashlib.md5(archive).hexdigest())


def test_without_a_checksum_images_are_counted_and_read(site: Site, data: Path, members: dict[str, bytes]) -> None:
    site.files["/a"] = make_zip(members)
    assert_refused(site, data, "holds 4 images, 5 are expected", expected_files=5)
    image = "miml_dataset/images/2.jpg"
    site.files["/a"] = make_zip(members | {image: members[image][:200]})
    assert_refused(site, data, "damaged images: images/2.jpg", expected_files=4)


def test_not_found(site: Site, data: Path) -> None:
    assert_refused(site, data, "404")


def test_no_server(data: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = Site(address=f"http://127.0.0.1:{free.getsockname()[1]}")
    assert_refused(gone, data, "refused")


def test_a_connection_that_breaks(site: Site, data: Path, members: dict[str, bytes]) -> None:
    archive = make_tgz(members)
    site.files["/a"], site.announce["/a"] = archive[:500], len(archive)
    assert_refused(site, data, "connection broke after 500 of")


@pytest.mark.parametrize("pack", [make_tgz, make_zip])
def test_an_archive_that_was_published_cut_short(site: Site, data: Path, members: dict[str, bytes], pack: Pack) -> None:
    archive = pack(members)
    site.files["/a"] = archive[: len(archive) // 2]
    assert_refused(site, data, "")


def test_a_page_instead_of_an_archive(site: Site, data: Path) -> None:
    site.files["/a"] = b"<html>Log in first</html>"
    assert_refused(site, data, "neither a zip nor a tar archive")


def test_an_archive_of_something_else(site: Site, data: Path) -> None:
    site.files["/a"] = make_zip({"README": b"x"})
    assert_refused(site, data, f"holds no {WANTED}")


# Of a tar member with a leading slash the data filter strips the slash, which puts it inside; zip members are refused.
@pytest.mark.parametrize(
    ("pack", "evil"),
    [
        (make_tgz, "../../evil.txt"),
        (make_tgz, "miml_dataset/../../../evil.txt"),
        (make_zip, "../../evil.txt"),
        (make_zip, "miml_dataset/../../../evil.txt"),
        (make_zip, "/{root}/evil.txt"),
    ],
)
def test_members_outside_of_the_folder(
    site: Site, data: Path, members: dict[str, bytes], pack: Pack, evil: str, tmp_path: Path
) -> None:
    name = evil.format(root=str(tmp_path).strip("/"))
    site.files["/a"] = pack({name: b"evil", **members})
    assert_refused(site, data, "outside")
    assert list(tmp_path.rglob("evil.txt")) == []


def test_links_that_lead_out_of_the_folder(site: Site, data: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        archive.addfile(link)
    site.files["/a"] = (tmp_path / "link.tar").read_bytes()
    assert_refused(site, data, "outside")


def test_another_job_that_was_faster_is_fine(
    site: Site, data: Path, members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from polytag.data import download

    site.files["/a"] = make_zip(members)

    def unpack_late(archive: Path, content: Path) -> None:
        monkeypatch.undo()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetch(f"{site.address}/a", data / "miml", wanted=WANTED)  # the other job, start to end
        download._unpack(archive, content)

    monkeypatch.setattr(download, "_unpack", unpack_late)
    fetch(f"{site.address}/a", data / "miml", wanted=WANTED)
    assert site.asked == ["/a", "/a"] and (data / "miml" / WANTED).exists()
    assert [path.name for path in data.iterdir()] == ["miml"]
