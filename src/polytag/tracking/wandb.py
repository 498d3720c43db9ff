"""Weights & Biases: online where that is possible, else offline. It never asks, and no network ends a training."""

import logging
import netrc
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import wandb
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import loggers

from polytag.errors import UserError
from polytag.run_folder import write_atomically

log = logging.getLogger(__name__)

MODES = {"online": "online", "offline": "offline", "disabled": "disabled", "run": "online", "dryrun": "offline"}
CONNECT_SECONDS = 3
PUBLIC_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # two names of one server: a key for one fits both


class FallbackWandbLogger(loggers.WandbLogger):
    """Lightning's logger, started at its first use and on the first rank only: there the mode is chosen."""

    def __init__(self, mode: str | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._wandb_init.pop("anonymous", None)  # W&B no longer has it, and warns of it even where it is None
        self.wanted_mode = mode

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run."""
        if self._experiment is None:
            self._start()
        return super().experiment

    def _start(self) -> None:
        if wandb.run is not None:  # Lightning would go on with it: a job that ended without closing its run
            wandb.finish(exit_code=1)
        mode, reason = choose_mode(self.wanted_mode)
        if mode != "disabled":
            self._wandb_init["id"] = self._own_id()
        if mode == "online":
            try:
                self._wandb_init["mode"] = "online"
                _ = super().experiment
            except (wandb.Error, OSError, ValueError) as error:
                mode, reason = "offline", f"starting online failed ({first_line(error)})"
                self._wandb_init["id"] = secrets.token_hex(4)  # W&B takes the other one for in use
        if mode != "online":
            self._wandb_init["mode"] = mode
        log.info(f"W&B is {mode}: {reason}.{_how_to_sync(self.save_dir) if mode == 'offline' else ''}")

    def _own_id(self) -> str:
        """Return W&B's id of this run, which stays in the run folder: a run that goes on is the same one there."""
        file = Path(str(self.save_dir)) / "wandb" / "run_id"
        if not file.exists():
            write_atomically(file, secrets.token_hex(4))
        return file.read_text(encoding="utf-8")


def wandb_logger(
    save_dir: str,
    project: str = "polytag",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = "train",
    mode: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
) -> loggers.WandbLogger:
    """Return the logger of a run.

    Args:
        save_dir: The run folder; W&B's files go into `wandb/` below it.
        project: W&B's project.
        entity: Team or user; W&B's default where not given.
        name: Name of the run; W&B makes one up where not given.
        group: What W&B groups the run under.
        job_type: What W&B calls the kind of the run.
        mode: `online`, `offline` or `disabled`. Not given: what WANDB_MODE says, else online. Online becomes offline
            where there is no key or no connection.
        tags: Short words to filter by.
        notes: A sentence.

    Raises:
        UserError: An unknown mode.
    """
    if mode is not None and mode not in MODES:
        raise UserError(
            f"logger.wandb.mode={mode} is none of online, offline, disabled. Leave it out to let it choose."
        )
    Path(save_dir).mkdir(parents=True, exist_ok=True)  # else W&B would write into the system's temporary folder
    return FallbackWandbLogger(
        mode,
        save_dir=save_dir,
        project=project,
        entity=entity,
        name=name,
        group=group,
        job_type=job_type,
        tags=list(tags),
        notes=notes or None,
    )


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
    """Try to connect to a server, or to the proxy that leads to it; return what fails, or None."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
    if proxy:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return first_line(error)
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _how_to_sync(save_dir: str | None) -> str:
    return f" Send it later with `wandb sync {save_dir}/wandb/offline-*`."
