"""What several tests share: commands called in this process, and small trainings."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest_plugins = ["browser"]

# The networks here are tiny: a second thread gains nothing, and waits for ever where another process has its core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A network of 0.4 million parameters and random weights: a training takes about a second.
TINY = (
    "model=resnet18",
    "model.backbone=test_resnet",
    "model.weights=none",
    "transforms=none",
    "data.batch_size=4",
    "trainer=cpu",
    "print_config=false",
    "report=false",  # drawing takes longer than all the rest
)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Done]:
    """Return a function that calls a command as the shell would, but in this process and an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> Done:
        from importlib import import_module

        main = import_module(f"polytag.{name.replace('-', '_')}").main
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        code = 0
        with _logging_restored(), _warnings_as_for_a_user():
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Undo what Hydra does to the logging of the process."""
    import logging

    handlers, level = list(logging.root.handlers), logging.root.level
    try:
        yield
    finally:
        for handler in logging.root.handlers:
            if handler not in handlers:
                handler.close()
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


@contextmanager
def _warnings_as_for_a_user() -> Iterator[None]:
    """Let warnings be warnings inside a command; libraries' own are not what these tests are about."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def csv_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 24 generated images and a labels.csv."""
    from fake.csv import make_csv

    root = tmp_path_factory.mktemp("csv_data")
    make_csv(root, rows=24)
    return root


@pytest.fixture(scope="session")
def finished_run(csv_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny finished run on `csv_data`: two sizes, frozen and unfrozen."""
    from hydra import compose, initialize_config_dir

    from polytag.commands import conf_dir
    from polytag.run_folder import RunFolder
    from polytag.train import train

    folder = tmp_path_factory.mktemp("run")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"), _warnings_as_for_a_user():
        overrides = [
            *TINY,
            "report=true",
            "data=csv",
            f"data.root={csv_data}",
            "recipe.image_sizes=[32,48]",
            "recipe.epochs=[1,1]",
        ]
        config = compose("train", [*overrides, f"paths.output={folder}", "callbacks=none"])
        train(config, RunFolder(folder))
    return folder
