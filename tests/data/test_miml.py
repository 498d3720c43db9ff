"""MIML: both label files say the same."""

import os
from pathlib import Path

import numpy as np
import pytest
from fake.archives import content_of, make_zip
from fake.miml import make_miml
from fake.server import serve

from polytag.data import miml
from polytag.data.files import require_files
from polytag.data.miml import CLASSES, read_miml
from polytag.errors import UserError


@pytest.mark.parametrize("file", ["miml_labels_1.csv", "miml_labels_2.csv"])
def test_either_label_file(tmp_path: Path, file: str) -> None:
    labels = make_miml(tmp_path, rows=12)
    table = require_files(read_miml(str(tmp_path), labels=file))
    assert table.classes == ("desert", "mountains", "sea", "sunset", "trees")
    assert [[name for name, has in zip(CLASSES, row, strict=True) if has] for row in table.targets] == labels
    assert table.paths[0] == str(tmp_path / "images" / "1.jpg") and table.names[0] == "1.jpg"


def test_missing_files_tell_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*nowhere.*data.download=true"):
        read_miml(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"no label file .*miml_labels_1.csv.*data.download=true"):
        read_miml(str(tmp_path))


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_miml(tmp_path / "published", rows=6)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(miml, "IMAGES", 6)
    with serve() as site:
        site.files["/miml.zip"] = make_zip(content_of(tmp_path / "published", top="miml_dataset"))
        monkeypatch.setattr(miml, "URL", f"{site.address}/miml.zip")
        table = read_miml(str(tmp_path / "here"), download=True)
        assert len(require_files(table)) == 6
        read_miml(str(tmp_path / "here"), labels="miml_labels_2.csv", download=True)
        assert site.asked == ["/miml.zip"]


@pytest.mark.real_data
def test_real_labels() -> None:
    if "POLYTAG_REAL_DATA" not in os.environ:
        pytest.skip("POLYTAG_REAL_DATA is not set")
    root = os.path.join(os.environ["POLYTAG_REAL_DATA"], "miml")
    one, two = read_miml(root), read_miml(root, labels="miml_labels_2.csv")
    assert one.targets.shape == (1600, 5)
    np.testing.assert_array_equal(one.targets, two.targets)
    assert set(one.targets.sum(1)) == {1, 2, 3}
    assert len(require_files(one)) == 1600
