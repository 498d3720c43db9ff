"""Between values and the text of Hydra's overrides."""

import re
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from polytag.errors import UserError

PLAIN = re.compile(r"[A-Za-z_][\w./@-]*", re.ASCII)
NOT_TEXT = ("true", "false", "null", "inf", "nan")


def parse_override(text: str, config_loader: ConfigLoader | None = None) -> Override:
    """Return a parsed override.

    Args:
        text: As on the command line.
        config_loader: Lists the options of a group, for `glob`.
    """
    try:
        return OverridesParser.create(config_loader).parse_overrides([text])[0]
    except HydraException as error:
        raise UserError(f"{text.partition('=')[0]}: {' '.join(str(error).split())}") from error


def override_text(value: Any) -> str:
    """Return the text behind the equals sign that Hydra reads back as the same value: one text a value."""
    if isinstance(value, QuotedString):
        return override_text(value.text)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(override_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_key_text(key)}:{override_text(item)}' for key, item in value.items())}}}"
    assert isinstance(value, str), f"no value of an override: {value!r}"
    if PLAIN.fullmatch(value) and value.lower() not in NOT_TEXT:
        return value
    return str(QuotedString(value, Quote.single).with_quotes())


def _key_text(key: Any) -> str:
    """Return the key of a dictionary, which cannot be quoted."""
    return re.sub(r"([\\()\[\]{}:=, \t])", r"\\\1", key) if isinstance(key, str) else override_text(key)
