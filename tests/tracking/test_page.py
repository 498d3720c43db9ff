"""What our pages share: charts in the page's colours, and one file that needs no other."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from polytag.tracking.page import NAMES, inline_svg, number, percent
from polytag.tracking.style import BLUE, any_script, clean


@pytest.fixture
def svg():
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BLUE, gid="line")
    axes.set_title("a < b, 雪")
    clean(axes)
    with any_script():
        return str(inline_svg(figure, "loss", 'The loss of "a"'))


def test_a_chart_is_well_formed_and_says_what_it_shows(svg):
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'The loss of "a"'
    assert root.attrib["viewBox"] == "0 0 432 216"  # 72 points an inch
    assert "width" not in root.attrib  # as wide as the page has room, up to the size it was drawn for
    assert any("a < b" in (element.text or "") for element in root.iter())


def test_a_chart_has_the_colours_of_the_page(svg):
    assert "var(--blue)" in svg and "var(--line)" in svg
    assert not [colour for colour in NAMES if colour in svg]


def test_two_charts_share_no_name(svg):
    ids, references = re.findall(r'\bid="([^"]*)"', svg), re.findall(r"(?:url\(#|href=\"#)([^\")]*)", svg)
    assert ids and references
    assert all(name.startswith("loss-") for name in ids)
    assert set(references) <= set(ids)
    assert "loss-line" in ids  # what was named stays findable


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5000"), (float("nan"), "-"), (None, "-")])
def test_scores_have_four_digits(value, text):
    assert number(value) == text


def test_shares_are_widths():
    assert (percent(0.1234), percent(float("nan"))) == ("12.3", "0")
