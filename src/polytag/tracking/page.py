"""What our pages share: one file each, without network, in the reader's light or dark theme."""

import base64
import io
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from polytag.run_folder import write_atomically
from polytag.tracking.style import BLUE, GREEN, GREY, GRID, INK, ORANGE, RED, SHADES, any_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKAGE = "polytag.tracking"
# What a figure's colours are called in page.css, which has them for light and for dark pages.
NAMES = {BLUE: "blue", ORANGE: "orange", GREEN: "green", RED: "red", GREY: "grey", INK: "text", GRID: "line"}
NAMES |= {shade: f"shade-{place}" for place, shade in enumerate(SHADES)} | {"#000000": "text", "#ffffff": "page"}


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template, which extends `page.html.jinja`, and write the page."""
    loader = PackageLoader("polytag", "tracking")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent}
    parts = {name: Markup(files(PACKAGE).joinpath(f"page.{name}").read_text("utf-8")) for name in ("css", "js")}
    write_atomically(path, environment.get_template(template).render(**parts, **content))


def inline_svg(figure: "Figure", name: str, description: str) -> Markup:
    """Return a figure as part of a page, whose letters and colours it has.

    Args:
        figure: Drawn in the colours of `style`.
        name: Of letters and digits, unlike that of any other figure of the page: its elements are named after it.
        description: What it shows, for those who do not see it.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with any_script(), rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ([^;\"]*?)px '[^\"]*?(?=[;\"])", r"font: \1px system-ui, sans-serif", svg)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: _theme_colour(found.group()), svg)
    width, height = figure.get_size_inches() * 72
    begin = f'<svg class="chart" role="img" aria-label="{escape(description)}" viewBox="0 0 {width:g} {height:g}"'
    return Markup(re.sub(r"<svg[^>]*?(?=>)", lambda _: f'{begin} style="max-width: {width / 12:.3g}rem"', svg, count=1))


def _theme_colour(colour: str) -> str:
    return f"var(--{NAMES[colour]})" if colour in NAMES else colour


def data_url(content: bytes, kind: str) -> str:
    """Return a picture (`png`, `jpeg`) as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a score; a dash where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(value: float) -> str:
    """Return a share in percent, for a bar's width; 0 where it is undefined."""
    return "0" if math.isnan(value) else f"{100 * value:.1f}"
