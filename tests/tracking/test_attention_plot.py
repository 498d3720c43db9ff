"""The picture of where a network looks: which images and labels it shows, and how."""

import numpy as np
import pytest
import torch
from PIL import Image

from polytag.data.label_table import LabelTable
from polytag.data.transforms import Plain
from polytag.errors import UserError
from polytag.inference.scoring import Result
from polytag.models.network import build_network
from polytag.tracking import attention_plot
from polytag.tracking.attention_plot import enlarge, overlay, plot_attention


def result_of(folder, targets, probabilities, classes, size=(40, 20)):
    """Return the result of images in grey, each a little lighter than the one before."""
    paths = [folder / f"{number}.png" for number in range(len(targets))]
    for number, path in enumerate(paths):
        Image.new("RGB", size, (20 * number,) * 3).save(path)
    names = np.array([path.name for path in paths])
    rows = np.array([str(path) for path in paths])
    table = LabelTable(rows, names, classes, np.array(targets, np.int8), np.array(["val"] * len(rows)))
    probabilities = np.array(probabilities, np.float32)
    return Result(table, probabilities, probabilities > 0.5, {}, None, {}, ())


@pytest.fixture
def network():
    return build_network("test_resnet", "none", "csra", 4).eval()


@pytest.fixture
def figures(monkeypatch):
    drawn = []
    monkeypatch.setattr(attention_plot, "save", lambda figure, path: drawn.append(figure))
    return drawn


CLASSES = (r"$\frac", "a<b & c", "犬", "x" * 200)  # broken formula, markup, a letter the font lacks, a long one
ROWS = [[1, 0, 0, 0], [0, 1, 0, -1], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, -1, 0]]
PROBABILITIES = [[0.9, 0.1, 0.8, 0.3], [0.6, 0.2, 0.3, 0.9], [0.5] * 4, [0.1, 0.9, 0.2, 0.3], [0.5] * 4]


@pytest.mark.parametrize("head", ["csra", "ml_decoder"])
def test_any_image_and_any_name_is_drawn(tmp_path, recwarn, head):
    network = build_network("test_vit", "none", head, 4).eval()
    result = result_of(tmp_path, ROWS, PROBABILITIES, CLASSES)
    plot_attention(network, Plain(), 64, result, tmp_path / "plots/attention.png")
    with Image.open(tmp_path / "plots/attention.png") as image:
        assert image.format == "PNG" and image.convert("RGB").getcolors(maxcolors=10) is None  # more than 10
    assert not recwarn.list


def test_labels_are_the_true_and_the_predicted_ones_and_then_the_likeliest(tmp_path, network, figures):
    result = result_of(tmp_path, ROWS, PROBABILITIES, ("a", "b", "c", "d"))
    plot_attention(network, Plain(), 64, result, tmp_path / "p.png", maps=2)
    texts = [text.get_text() for text in figures[0].texts]
    minus = "\N{MINUS SIGN}"
    # Rows 0, 1 and 3: the others have no label. Of d in row 1 nobody knows; in row 3 the missed one comes before d.
    assert texts[:6] == ["right", "+wrongly given", f"{minus}missed", "neither", "attention: 0", "its largest"]
    assert texts[6:] == ["a 0.90", "+c 0.80", "?d 0.90", "+a 0.60", "b 0.90", f"{minus}a 0.10"]
    assert len(figures[0].axes) == 1 + 3 * (1 + 2)


def test_the_image_is_what_the_network_sees(tmp_path, network, figures):
    result = result_of(tmp_path, [[1, 0, 0, 0]], [[0.9] * 4], ("a", "b", "c", "d"), size=(100, 50))
    plot_attention(network, Plain("pad"), 64, result, tmp_path / "p.png")
    shown = figures[0].axes[1].images[0].get_array()
    assert shown.shape == (64, 64, 3)


def test_the_choice_is_seeded_and_without_labels_any_image_will_do(tmp_path, network, figures):
    unlabelled = result_of(tmp_path, [[0] * 4] * 12, [[0.5] * 4] * 12, ("a", "b", "c", "d"))
    for seed in (0, 0, 1):
        plot_attention(network, Plain(), 64, unlabelled, tmp_path / "p", count=2, seed=seed)
    first, again, other = ([int(np.asarray(f.axes[i].images[0].get_array()).max()) for i in (1, 5)] for f in figures)
    assert first == again != other


def test_one_class_and_one_image_are_enough(tmp_path, figures):
    network = build_network("test_resnet", "none", "csra", 1).eval()
    result = result_of(tmp_path, [[1]], [[0.9]], ("a",))
    plot_attention(network, Plain(), 64, result, tmp_path / "p.png")
    assert len(figures[0].axes) == 3


def test_a_map_keeps_its_place_when_it_is_enlarged():
    small = np.zeros((4, 4), np.float32)
    small[1, 2] = 0.5
    large = enlarge(small, 64)
    assert large.shape == (64, 64) and large.max() == 1 and large.min() == 0
    rows, columns = np.nonzero(large > 0.9)  # the middle of row 1 and column 2, of 16 pixels each
    assert (rows.mean(), columns.mean()) == pytest.approx((23.5, 39.5))


def test_what_matters_is_brighter():
    shown = overlay(np.full((1, 3, 1), 100, np.uint8), np.array([[0.0, 0.5, 1.0]], np.float32)).sum(2)[0]
    assert shown[0] < shown[1] < shown[2]


def test_a_head_without_attention_is_refused(tmp_path):
    network = build_network("test_resnet", "none", "linear", 4)
    result = result_of(tmp_path, ROWS, PROBABILITIES, CLASSES)
    with torch.no_grad(), pytest.raises(UserError, match=r"model\.head=linear has no attention"):
        plot_attention(network, Plain(), 64, result, tmp_path / "p.png")
