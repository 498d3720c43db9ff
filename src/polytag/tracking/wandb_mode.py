"""Whether W&B records a run online, offline or not at all: decided without a prompt, within seconds."""

import netrc
import os
import ssl
import urllib.error
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

import wandb

from polytag.errors import UserError

MODES = {"online": "online", "offline": "offline", "disabled": "disabled", "run": "online", "dryrun": "offline"}
ANSWER_SECONDS = 4
PUBLIC_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # two names of one server: a key for one fits both


def choose_mode(wanted: str | None) -> tuple[str, str]:
    """Return the mode and why, in words.

    Raises:
        UserError: WANDB_MODE is no mode, or another of W&B's settings is malformed.
    """
    from_environment = os.environ.get("WANDB_MODE")
    if wanted is None and from_environment and from_environment not in MODES:
        raise UserError(f"WANDB_MODE={from_environment} is none of online, offline, disabled. Correct or unset it.")
    mode = MODES[wanted or from_environment or "online"]
    if mode != "online":
        return mode, "logger.wandb.mode says so" if wanted else f"WANDB_MODE={from_environment}"
    try:
        settings = wandb.setup().settings
    except ValueError as error:
        raise UserError(f"W&B's settings are wrong: {' '.join(str(error).split())} Look at WANDB_BASE_URL.") from error
    url = settings.base_url
    if not (settings.api_key or settings.identity_token_file or has_key(url)):
        return "offline", f"there is no key for {url} (`wandb login` stores one)"
    if failure := connection_failure(url):
        return "offline", f"{url} cannot be reached ({failure})"
    return "online", f"{url} answers"


def has_key(url: str) -> bool:
    """Whether the environment or the netrc file holds a key for a server."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    home, named = Path.home(), os.environ.get("NETRC")
    host = urlsplit(url).netloc
    for path in [Path(named).expanduser()] if named else [home / ".netrc", home / "_netrc"]:
        try:
            entries = netrc.netrc(str(path))
        except (OSError, netrc.NetrcParseError):
            continue
        found = (entries.authenticators(name) for name in (PUBLIC_HOSTS if host in PUBLIC_HOSTS else (host,)))
        if any(entry and entry[2] for entry in found):
            return True
    return False


def connection_failure(url: str) -> str | None:
    """Ask a server for anything, through a proxy where there is one; return what fails, or None if it answers.

    A connection alone says little: a server that hangs takes them too, and W&B would wait for it for minutes.
    """
    try:
        build_opener().open(Request(url, method="HEAD"), timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError:  # any answer will do
        return None
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):  # it is there; W&B may know its certificate
            return None
        return first_line(reason) if isinstance(reason, BaseException) else str(reason)
    except (OSError, HTTPException) as error:
        return first_line(error)
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
