"""Signals: a stopped run says how to go on, and does not claim to be done."""

import signal
import subprocess
import sys

import pytest
from conftest import TINY


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_its_code_and_says_how_to_go_on(csv_data, tmp_path, number, code):
    arguments = [*TINY, "data=csv", f"data.root={csv_data}", "recipe.image_sizes=[32]", "recipe.epochs=[1,4000]"]
    command = [sys.executable, "-m", "polytag.train", *arguments, f"hydra.run.dir={tmp_path / 'run'}"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    lines = []
    with subprocess.Popen(command, cwd=tmp_path, **piped) as process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("epoch 3/"):
                process.send_signal(number)
    assert process.returncode == code, lines[-5:]
    assert any(f"the same command with hydra.run.dir={tmp_path / 'run'}" in line for line in lines)
    assert not (tmp_path / "run/summary.json").exists()
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()
