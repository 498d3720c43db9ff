"""Pages in a headless Chromium, if there is one on this machine: none is downloaded."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a running browser; skip where there is none."""
    found = next(filter(None, map(shutil.which, COMMANDS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(COMMANDS)} is installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found)
        yield started
        started.close()


@pytest.fixture
def browser_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a file: `page = browser_page(path, width=360, color_scheme="dark")`.

    At the end the test fails if a page had an error or asked for anything but itself.
    """
    contexts, problems = [], []

    def open_page(path: Path, width: int = 1100, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: None if _is_own(asked.url, path) else problems.append(asked.url[:200]))
        page.goto(path.absolute().as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


def _is_own(url: str, path: Path) -> bool:
    return url.startswith(("data:", "blob:")) or url.split("#")[0] == path.absolute().as_uri()


def is_wider_than_screen(page: Any) -> bool:
    """Whether a page, and not only a table in it, has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def weak_texts(page: Any, least: float = 4.5) -> list[str]:
    """Return the texts of a page, not those of pictures, with less contrast than WCAG AA wants: 4.5 to 1."""
    return list(page.evaluate(CONTRAST, least))


CONTRAST = """least => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  function over(colours) {
    context.fillStyle = "#fff";
    for (const colour of ["#fff", ...colours]) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  }
  function luminance(rgb) {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function contrast(element) {
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const [page, text] = [behind, [...behind, getComputedStyle(element).color]].map(over).map(luminance);
    return (Math.max(page, text) + 0.05) / (Math.min(page, text) + 0.05);
  }
  const texts = [...document.body.querySelectorAll("*")].filter(element => !element.closest("svg, script, style")
    && element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return texts.filter(element => contrast(element) < least)
    .map(element => `${element.textContent.trim().slice(0, 40)}: ${contrast(element).toFixed(2)}`);
}"""
