"""What is seen of a training: lines where there is no terminal, a table and a bar in one."""

import io
import os
import re
import signal
import struct
import sys
import threading
from contextlib import contextmanager

import pytest
from conftest import TINY
from rich.console import Console

from polytag.callbacks import live_progress, progress, stopping
from polytag.callbacks.live_progress import LiveProgress
from polytag.callbacks.progress import Clock, EpochLines
from polytag.schedule.curves import OneCycle
from polytag.schedule.recipes import freeze_unfreeze

OPTIONS = (*TINY, "data=csv", "recipe.image_sizes=[32]", "recipe.epochs=[1,2]")
LINE = re.compile(
    r"epoch (\d)/3 · phase (\d) · 32 px, (early\+late frozen|all groups) · train/loss \d\.\d{4} · val/loss \d\.\d{4} · "
    r"val/map \d\.\d{4} · [\d,]+ images/s · \d+\.\d s(?P<rest> since it went on)?"
)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@contextmanager
def pseudo_terminal(monkeypatch, width, kind="xterm-256color"):
    """Let progress be shown on a pseudo terminal; yields a list whose only element, at the end, is what came there."""
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    monkeypatch.setenv("TERM", kind)
    received, chunks = [], []

    def read():
        try:
            while chunk := os.read(master, 65536):
                chunks.append(chunk)
        except OSError:  # its other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as file:
        for module in (progress, live_progress):
            monkeypatch.setattr(module, "console", Console(file=file, width=width, soft_wrap=True))
        monkeypatch.setattr(live_progress, "REFRESH", 200)
        yield received
    reader.join(timeout=10)
    os.close(master)
    received.append(b"".join(chunks).decode())


def train(call, root, folder, *more):
    return call("train", *OPTIONS, f"data.root={root}", f"hydra.run.dir={folder}", *more)


def lines_of(text):
    """Return the lines of a terminal's text, what was drawn anew each time included."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", ESCAPE.sub("", text)) if line.strip()]


def test_without_a_terminal_there_is_a_line_an_epoch_and_no_control_character(call, csv_data, tmp_path):
    done = train(call, csv_data, tmp_path)
    assert done.code == 0, done.err
    found = [LINE.fullmatch(line).groups() for line in done.out.splitlines() if line.startswith("epoch ")]
    assert [(epoch, phase, trained) for epoch, phase, trained, _ in found] == [
        ("1", "0", "early+late frozen"),
        ("2", "1", "all groups"),
        ("3", "1", "all groups"),
    ]
    assert not any(rest for *_, rest in found)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.out + done.err)


def test_a_terminal_shows_rows_and_a_bar_that_goes_away(call, csv_data, tmp_path, monkeypatch):
    with pseudo_terminal(monkeypatch, 80) as received:
        done = train(call, csv_data, tmp_path)
    assert done.code == 0, done.err
    lines = lines_of(received[0])
    head = "epoch  phase  pixels  train/loss  val/loss  val/map  images/s    time"
    assert lines.count(head) == 1
    rows = [line for line in lines if re.match(r"  \d/3 ", line)]
    assert [row.split()[:3] for row in rows] == [["1/3", "0", "32"], ["2/3", "1", "32"], ["3/3", "1", "32"]]
    bars = [line for line in lines if "━" in line]
    assert any(
        re.match(r"epoch 1/3 [━╸╺]+ [1-5]/5 · epoch (\?|>\d:\d\d) left, all (\?|>\d:\d\d)", bar) for bar in bars
    ), bars
    assert any(re.match(r"epoch 3/3 [━╸╺]+ [1-5]/5 · epoch \d:\d\d left$", bar) for bar in bars), bars
    numbers = r"phase 1 · 32 px · loss \d\.\d{4} · val/map \d\.\d{4} · [\d,]+ images/s( · all groups)?"
    assert any(re.fullmatch(numbers, line) for line in lines)
    assert max(len(line) for line in lines) <= 80
    assert received[0].count("\x1b[?25l") == received[0].count("\x1b[?25h") == 1  # the cursor is there again
    assert "epoch 1/3" not in done.out  # the log's lines are for the file
    assert [line[:9] for line in (tmp_path / "train.log").read_text().splitlines() if LINE.fullmatch(line)] == [
        *("epoch 1/3", "epoch 2/3", "epoch 3/3")
    ]


@pytest.mark.parametrize("has_terminal", [True, False])
def test_a_run_that_was_stopped_in_an_epoch_goes_on_in_it(call, csv_data, tmp_path, monkeypatch, has_terminal):
    hints = []
    monkeypatch.setattr(stopping, "_write_hint", lambda: hints.append("written"))
    signalled = f"+callbacks.signalled={{_target_: fake.stopping.Signalled, number: {int(signal.SIGINT)}}}"
    with pseudo_terminal(monkeypatch, 60) if has_terminal else open(os.devnull) as received:
        assert train(call, csv_data, tmp_path, signalled).code == 130
        done = train(call, csv_data, tmp_path, "allow_changes=true")
    assert done.code == 0, done.err
    lines = [match for line in (tmp_path / "train.log").read_text().splitlines() if (match := LINE.fullmatch(line))]
    assert [(line[1], bool(line["rest"])) for line in lines] == [("1", False), ("2", True), ("3", False)]
    assert hints == ([] if has_terminal else ["written"])  # the bar says it by itself
    if has_terminal:
        shown = lines_of(received[0])
        rows = [line.split()[0] for line in shown if re.match(r"  \d/3 ", line)]
        assert rows == ["1/3", "2/3", "3/3"]
        assert received[0].count("\x1b[?25l") == received[0].count("\x1b[?25h") == 2
        assert max(len(line) for line in shown) <= 60


def test_what_is_logged_meanwhile_stands_above_the_bar(monkeypatch, capsys):
    import logging

    from rich.live import Live

    to_screen = logging.StreamHandler(sys.stdout)
    monkeypatch.setattr(logging.root, "handlers", [to_screen])
    with pseudo_terminal(monkeypatch, 60) as received:
        console = live_progress.console
        with live_progress.printed_above(Live("the bar", console=console, auto_refresh=False), but_not="hidden"):
            logging.getLogger("a").warning("of interest")
            logging.getLogger("hidden").warning("of none")
    assert to_screen.stream is sys.stdout
    assert not to_screen.filters
    lines = lines_of(received[0])
    assert "of none" not in received[0]
    assert lines.index("of interest") < len(lines) - 1 - lines[::-1].index("the bar")


def test_a_file_is_no_terminal_even_where_colours_are_forced(monkeypatch):
    recipe = freeze_unfreeze([32], ["unfrozen"], 0.01, OneCycle(), [1])
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "console", Console(file=io.StringIO()))
    assert progress.console.is_terminal
    assert type(progress.progress(recipe, "val/map")) is EpochLines


def test_a_terminal_that_can_only_print_gets_lines(monkeypatch):
    recipe = freeze_unfreeze([32], ["unfrozen"], 0.01, OneCycle(), [1])
    for kind, shown in {"xterm-256color": LiveProgress, "dumb": EpochLines}.items():
        with pseudo_terminal(monkeypatch, 80, kind):
            assert type(progress.progress(recipe, "val/map")) is shown


def test_the_clock_counts_and_leaves_the_slow_first_batch_out_of_the_pace(monkeypatch):
    now = iter([100.0, 110.0, 111.0, 113.0, 120.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    clock = Clock(is_whole=True)
    clock.count(8)
    assert clock.batch_seconds == 10
    clock.count(8)
    clock.count(10)
    assert clock.batch_seconds == 1.5
    assert clock.images_per_second == 2
    assert (clock.training_seconds, clock.seconds) == (13, 20)
