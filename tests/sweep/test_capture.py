"""Where the jobs of a sweep print to."""

import os
import pty
import subprocess
import sys

SCRIPT = """
import logging, sys
from pathlib import Path
from rich.table import Table
from polytag.sweep.capture import captured, console_of_sweep
from polytag.sweep.options import Objective
from polytag.sweep.progress import Progress
from polytag.tracking.console import console

table = Table("column", title="of a job")
with Progress(console_of_sweep(), Objective("val/map", "max"), 1, "Ctrl-C stops.") as shown:
    shown.update([], [])
    with captured(Path(sys.argv[1])):
        console.print(table)
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        logging.warning("logged by the job")
console.print("[bold]of the sweep")
"""


def test_in_a_terminal_a_jobs_file_is_plain_and_has_all_that_the_job_says(tmp_path):
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=slave, stderr=slave, env=environment
    ) as process:
        os.close(slave)
        screen = b""
        try:
            while chunk := os.read(master, 65536):
                screen += chunk
        except OSError:  # closed by the process
            pass
    os.close(master)
    assert process.returncode == 0, screen.decode()
    text = (tmp_path / "output.log").read_text()
    assert "of a job" in text
    assert "logged by the job" in text
    assert "\x1b" not in text
    assert b"job\r" not in screen
    assert b"\x1b[1mof the sweep" in screen
