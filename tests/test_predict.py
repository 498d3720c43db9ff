"""`predict`: folders, lists and single images."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from polytag import load_run


@pytest.fixture
def photos(tmp_path):
    """Images of several kinds in two folders, as people have them."""
    folder = tmp_path / "my photos"
    (folder / "holiday").mkdir(parents=True)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.jpg")
    Image.fromarray(pixels[:, :, 0]).save(folder / "gray.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "holiday" / "cmyk.JPG")
    Image.fromarray(pixels).convert("RGBA").save(folder / "holiday" / "über & co (1).png")
    (folder / "notes.txt").write_text("no image")
    return folder


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_csv(call, finished_run, photos, tmp_path):
    out = tmp_path / "predictions.csv"
    done = call("predict", f"run={finished_run}", f"source='{photos}'", f"out={out}", "device=cpu")
    assert done.code == 0, done.err
    classes = load_run(finished_run).classes
    listed = rows(out)
    assert list(listed[0]) == ["image", *classes, "tags"]
    assert [row["image"] for row in listed] == ["a.jpg", "gray.png", "holiday/cmyk.JPG", "holiday/über & co (1).png"]
    for row in listed:
        chosen = [name for name in classes if float(row[name]) >= 0.5]
        assert row["tags"] == " ".join(chosen)


def test_predictions_are_those_of_the_validation(call, finished_run, csv_data, tmp_path):
    out = tmp_path / "p.csv"
    assert call("predict", f"run={finished_run}", f"source={csv_data / 'labels.csv'}", f"out={out}").code == 0
    everywhere = {row["image"]: row for row in rows(out)}
    validated = rows(finished_run / "predictions" / "val.csv")
    classes = load_run(finished_run).classes
    assert len(everywhere) == 24
    for row in validated:
        assert [float(everywhere[row["image"]][c]) for c in classes] == pytest.approx(
            [float(row[c]) for c in classes], abs=1e-5
        )


def test_one_image_is_printed(call, finished_run, photos):
    done = call("predict", f"run={finished_run}", f"source='{photos / 'a.jpg'}'")
    assert done.code == 0, done.err
    lines = done.out.strip().splitlines()
    classes = load_run(finished_run).classes
    assert len(lines) == len(classes) + 1
    values = [float(line.split()[-1]) for line in lines[:-1]]
    assert values == sorted(values, reverse=True)
    assert lines[-1].startswith("tags: ")
    nothing = call(
        "predict", f"run={finished_run}", f"source='{photos / 'a.jpg'}'", "policy=fixed", "policy.threshold=1.0"
    )
    assert nothing.out.strip().splitlines()[-1] == "tags: (none)"


def test_a_broken_image_stops_or_is_left_out(call, finished_run, photos, tmp_path):
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    arguments = ("predict", f"run={finished_run}", f"source='{photos}'", f"out={tmp_path / 'p.csv'}")
    done = call(*arguments)
    assert done.code == 2
    assert "broken.jpg" in done.err
    assert "on_broken=drop" in done.err
    assert not (tmp_path / "p.csv").exists()
    assert call(*arguments, "on_broken=drop").code == 0
    assert len(rows(tmp_path / "p.csv")) == 4


def test_names_with_the_separator_ask_for_another_one(call, finished_run, photos, tmp_path):
    done = call("predict", f"run={finished_run}", f"source='{photos}'", f"out={tmp_path / 'p.csv'}", "separator=e")
    assert done.code == 2
    assert "separator" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run=RUN",), "source is not set"),
        (("source=.",), "run is not set"),
        (("run=RUN", "source=not_there", "out=p.csv"), "There is no source not_there"),
        (("run=RUN", "source=."), "Add out=FILE.csv"),
        (("run=RUN", "source=empty", "out=p.csv"), "holds no image"),
        (("run=RUN", "source=.", "out=taken.csv"), "taken.csv exists already"),
        (("run=RUN", "source=text.jpg"), "text.jpg"),
    ],
)
def test_mistakes_are_one_line(call, finished_run, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken.csv").write_text("mine")
    (tmp_path / "text.jpg").write_text("no image")
    done = call("predict", *(argument.replace("RUN", str(finished_run)) for argument in arguments))
    assert done.code == 2, done.out
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert (tmp_path / "taken.csv").read_text() == "mine"


def test_several_views_where_they_are_asked_for(call, finished_run, csv_data, tmp_path):
    from polytag.data.csv import read_csv
    from polytag.inference.tta import Dihedral

    def probabilities(name, *arguments):
        out = tmp_path / name
        done = call("predict", f"run={finished_run}", f"source={csv_data / 'labels.csv'}", f"out={out}", *arguments)
        assert done.code == 0, done.err
        return np.array([[float(row[name]) for name in run.classes] for row in rows(out)]), done.out

    run = load_run(finished_run)
    expected = run.predict(read_csv(str(csv_data)), tta=Dihedral())
    plain, _ = probabilities("plain.csv")
    averaged, said = probabilities("averaged.csv", "tta=dihedral", "batch_size=5")
    assert averaged == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(averaged, plain, atol=1e-4)
    assert "with Dihedral(mirror=True)" in said


def test_a_mirrored_view_is_refused_where_the_run_s_data_forbid_it(call, finished_run, photos, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("mirror: true", "mirror: false"))
    arguments = ("predict", f"run={run}", f"source='{photos / 'a.jpg'}'", "tta=flip")
    done = call(*arguments)
    assert done.code == 2
    assert "data.mirror=false" in done.err
    assert call(*arguments, "tta.mirror=true").code == 0
