"""The shell around each command: where the configs are, and how a mistake of the user's is reported."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import hydra
from dotenv import load_dotenv
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from polytag.composition import CompositionError, describe_mistake, raise_errors, wants_tracebacks
from polytag.errors import UserError
from polytag.threads import wait_politely

# Hydra's, without an equals sign.
OPTIONS_WITH_VALUES = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p")

OPTIONS = (
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun", "--info"),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--experimental-rerun"),
)


def conf_dir() -> Path:
    """Return the folder of the configs: beside the sources in a clone, inside the package in a wheel."""
    clone = Path(__file__).resolve().parents[2] / "conf"
    return clone if (clone / "train.yaml").is_file() else Path(__file__).resolve().parent / "conf"


def command(
    name: str, before: Callable[[Sequence[str]], Sequence[str] | None] | None = None
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a config into a console command with `conf/<name>.yaml`.

    What the function returns is the objective of a sweep, except a plain integer, which is the exit code of a single
    run. A `UserError` becomes one line on stderr and exit code 2; in a sweep it stays an exception, because leaving the
    process would end the other jobs too. `POLYTAG_DEBUG=1` shows the traceback instead.

    Args:
        name: Name of the config.
        before: Called with the command line's overrides before Hydra composes the config; may return more of them.
    """

    def decorate(run: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @wraps(run)
        def task(config: DictConfig) -> Any:
            single = HydraConfig.get().mode == RunMode.RUN
            raise_errors(always=False)
            try:
                result = run(config)
            except Exception as error:  # a user's mistake may come wrapped in any library's exception
                mistake = user_error_in(error)
                if mistake is None or not single or os.environ.get("POLYTAG_DEBUG"):
                    raise
                _exit_with(str(mistake))
            if single and type(result) is int:
                sys.exit(result)
            return result

        def main() -> None:
            load_dotenv(Path(".env"))
            wait_politely()
            overrides = [argument for argument in sys.argv[1:] if "=" in argument and not argument.startswith("-")]
            try:
                refuse_unknown_options(sys.argv[1:])
                OverridesParser.create().parse_overrides(overrides)
                if before is not None:
                    sys.argv += before(overrides) or []
                sys.argv[1:] = options_first(sys.argv[1:])
                raise_errors(always=True)
                hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
            except KeyboardInterrupt:  # where nothing could be saved yet
                print("Stopped.", file=sys.stderr)
                sys.exit(128 + signal.SIGINT)
            except UserError as error:
                _exit_with(str(error))
            except CompositionError as error:
                if wants_tracebacks():
                    raise
                _exit_with(describe_mistake(error, str(conf_dir()), name, overrides))
            finally:
                raise_errors(always=False)

        return main

    return decorate


def refuse_unknown_options(arguments: Sequence[str]) -> None:
    """Refuse what argparse would answer with its usage: settings have no dashes here.

    Raises:
        UserError: The first such argument.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and name not in OPTIONS:
            raise UserError(
                f"There is no option {name}. Settings are written without dashes, as recipe.lr=1e-3. --help lists "
                "them, --hydra-help the options."
            )


def options_first(arguments: Sequence[str]) -> list[str]:
    """Return a command line with its options before its overrides, which argparse wants in one piece."""
    options: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        is_value = bool(options) and options[-1] in OPTIONS_WITH_VALUES
        is_option = is_value or ((argument.startswith("-") or "=" not in argument) and not argument.startswith("~"))
        (options if is_option else overrides).append(argument)
    return [*options, *overrides]


def user_error_in(error: BaseException) -> UserError | None:
    """Return the user's mistake inside an exception that a library has wrapped around it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UserError):
        seen = seen.__cause__
    return seen


def _exit_with(message: str) -> None:
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
