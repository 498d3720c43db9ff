"""Signals: a stopped run says how to go on, does not claim to be done, and ends as if it had not been stopped."""

import signal
import subprocess
import sys

import pytest
from conftest import TINY

SETTINGS = (
    *(*TINY, "recipe.image_sizes=[32]", "recipe.epochs=[1,20]", "data=csv"),
    *("callbacks=[default,ema]", "callbacks.checkpoint.every_minutes=0.002"),
)


@pytest.fixture
def whole(call, csv_data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "never_stopped"
    assert call("train", *SETTINGS, f"data.root={csv_data}", f"hydra.run.dir={folder}").code == 0  # once: then finished
    return folder


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        (signal.SIGKILL, -9),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL"],
)
def test_a_signal_ends_the_run_with_its_code_and_it_goes_on_as_if_there_had_been_none(
    call, csv_data, tmp_path, whole, number, code
):
    folder = tmp_path / "run"
    arguments = [*SETTINGS, f"data.root={csv_data}", f"hydra.run.dir={folder}"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    lines = []
    command = [sys.executable, "-m", "polytag.train", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, **piped) as process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("epoch 4/"):
                process.send_signal(number)
    assert process.returncode == code, lines[-5:]
    if code > 0:
        assert any(f"the same command with hydra.run.dir={folder}" in line for line in lines)
    assert not (folder / "summary.json").exists()
    assert 3 < len((folder / "metrics.csv").read_text().splitlines()) < 22
    done = call("train", *arguments)
    assert done.code == 0, done.err
    assert "Going on from" in done.out
    for file in ("metrics.csv", "predictions/val.csv"):
        assert (folder / file).read_text() == (whole / file).read_text(), file
