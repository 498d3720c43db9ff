"""The report in a browser."""

import re
from dataclasses import replace

import numpy as np
import pytest
from browser import is_wider_than_screen, weak_texts
from fake.report import add_history, make_result, reported

from polytag.tracking.report import write_report

LONG = tuple(f"a_rather_long_name_of_a_class_without_any_space_{number}" for number in range(30))
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    add_history(folder)
    return write_report(reported(folder, {"val": make_result(folder, 30)}))


@pytest.fixture(scope="module")
def wide_report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run_with_30_classes")
    return write_report(reported(folder, {"val": make_result(folder, 60, LONG, files=5)}))


def column(page, place):
    return page.locator(f"#classes-val tbody tr > :nth-child({place})").all_inner_texts()


def heading(page, name):
    return page.locator("#classes-val th").filter(has=page.get_by_role("button", name=name, exact=True))


def test_it_opens_from_disk_without_errors_and_without_the_network(browser_page, report):
    page = browser_page(report)  # the fixture looks at errors and requests

    assert page.locator("h1").inner_text().endswith(report.parent.name)
    shown = page.evaluate("[...document.querySelectorAll('figure svg image')].map(i => i.getBBox().width)")
    assert len(shown) > 12
    assert min(shown) == 48


def test_classes_are_sorted_by_a_click(browser_page, report):
    page = browser_page(report)
    images = [int(text) for text in column(page, 2)]
    heading(page, "images").get_by_role("button").click()

    assert [int(text) for text in column(page, 2)] == sorted(images, reverse=True)
    assert heading(page, "images").get_attribute("aria-sort") == "descending"
    assert page.locator("#classes-val th[aria-sort]").count() == 1
    heading(page, "images").get_by_role("button").click()
    assert [int(text) for text in column(page, 2)] == sorted(images)
    assert heading(page, "images").get_attribute("aria-sort") == "ascending"


def test_classes_are_sorted_by_the_keyboard_and_undefined_numbers_stay_last(browser_page, report):
    page = browser_page(report)
    button = heading(page, "recall").get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    falling = column(page, 6)
    page.keyboard.press("Space")

    assert heading(page, "recall").get_attribute("aria-sort") == "ascending"
    assert falling[-1] == column(page, 6)[-1] == "-"
    assert falling[:2] == column(page, 6)[1::-1]
    assert float(falling[0]) > float(falling[1])


def test_classes_are_found_by_a_part_of_their_name_or_of_what_is_given_instead(browser_page, wide_report):
    page = browser_page(wide_report)
    rows = page.locator("#classes-val tbody tr").all_text_contents()
    page.get_by_label("Find classes").fill("SPACE_7")
    visible = page.locator("#classes-val tbody tr:visible").all_text_contents()

    assert visible == [row for row in rows if "space_7" in row]
    assert 0 < len(visible) < len(rows) == 30


def test_what_is_given_instead_says_that_there_is_more(browser_page, wide_report):
    page = browser_page(wide_report)
    there = page.locator("#classes-val td.long[data-value]").all()
    cells = [(one.inner_text(), one.get_attribute("data-value")) for one in there]
    listed = [(text, int(all_of_them), map(int, re.findall(r"\((\d+)\)", text))) for text, all_of_them in cells]
    is_cut = [(text.endswith(", …"), sum(counts) < all_of_them) for text, all_of_them, counts in listed]

    assert [says for says, _ in is_cut] == [is_so for _, is_so in is_cut]
    assert (True, True) in is_cut


def test_a_chosen_class_is_coloured_in_both_charts_and_a_fifth_takes_the_first_ones_colour(browser_page, wide_report):
    page = browser_page(wide_report)
    chosen = page.locator(".picks button[aria-pressed=true]")
    before = chosen.all_inner_texts()
    other = page.locator(".picks button[aria-pressed=false]").first
    line = other.get_attribute("data-line")
    other.focus()
    page.keyboard.press("Enter")

    assert len(before) == chosen.count() == 4
    assert len(set(before) & set(chosen.all_inner_texts())) == 3
    colours = page.evaluate(
        "line => ['precision', 'threshold'].map(chart =>"
        " getComputedStyle(document.querySelector(`#${chart}-line-${line} path`)).stroke)",
        line,
    )
    assert colours[0] == colours[1] == "rgb(0, 114, 178)"  # the blue of the class that was coloured first
    page.keyboard.press("Enter")
    assert chosen.count() == 3


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 28)")])
def test_it_is_light_or_dark_as_the_reader_is(browser_page, report, scheme, background):
    page = browser_page(report, color_scheme=scheme)
    text, letters = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.querySelector('svg.chart text')).fill]"
    )

    assert page.evaluate(BACKGROUND) == background
    assert text == letters
    assert weak_texts(page) == []
    page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
    assert page.evaluate(BACKGROUND) != background


@pytest.mark.parametrize("width", [360, 768])
@pytest.mark.parametrize("name", ["report", "wide_report"])
def test_only_tables_are_wider_than_a_phone(browser_page, request, name, width):
    page = browser_page(request.getfixturevalue(name), width=width)

    assert not is_wider_than_screen(page)
    page.locator("summary").click()
    assert not is_wider_than_screen(page)


def test_what_scrolls_can_be_reached_by_the_keyboard(browser_page, wide_report):
    page = browser_page(wide_report, width=360)
    boxes = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => box.tabIndex)"
    )

    assert boxes
    assert set(boxes) == {0}


def test_links_of_the_contents_lead_to_their_parts(browser_page, report):
    page = browser_page(report)
    for link in page.locator("nav a").all():
        link.click()
        part = page.locator(link.get_attribute("href"))
        assert -1 < part.bounding_box()["y"] < 900


def test_maps_of_the_mistakes_are_shown_when_asked_for(browser_page, tmp_path, monkeypatch):
    def overlays(run, pixels, labels):
        return [np.zeros_like(pixels) for _ in labels]

    monkeypatch.setattr("polytag.tracking.report.activation_overlays", overlays)
    result = make_result(tmp_path, 12)
    page = browser_page(write_report(replace(reported(tmp_path, {"val": result}), run=object())))
    maps = page.locator("image.map")
    assert maps.count() > 0
    assert not any(one.is_visible() for one in maps.all())
    page.get_by_label("Show where the network sees the label").press("Space")
    assert all(one.is_visible() for one in maps.all())
