"""The bar and the table of a training, at several widths."""

import io

import pytest
from rich.console import Console

from polytag.schedule.curves import OneCycle
from polytag.schedule.recipes import freeze_unfreeze
from polytag.schedule.time_left import TimeLeft
from polytag.tracking.training_bar import EpochTable, TrainingBar

RECIPE = freeze_unfreeze([64, 96], ["frozen", "unfrozen"], 0.01, OneCycle(), [1, 2], group_lr_div=[9, 3, 1])
LEFT = {"epoch_left": TimeLeft(12), "all_left": TimeLeft(250, is_bound=True)}
FULL = LEFT | {"epoch": 3, "done": 12, "batches": 50, "loss": 0.41881, "score": 0.35, "images_per_second": 1234.5}
NAMES = ("train/loss", "val/loss", "val/map")


def drawn(width, **fields):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(TrainingBar(RECIPE, "val/map", **fields))
    return console.file.getvalue().splitlines()


def words(line):
    return " ".join(part for part in line.split() if set(part) - set("━╸╺"))


def test_it_shows_phase_size_epoch_pace_time_loss_and_monitor():
    first, second = drawn(80, **FULL)
    assert words(first) == "epoch 4/6 12/50 · epoch 0:12 left, all >4:10"
    assert "4/6 ━━━━━━━━  " in first  # a quarter of the 36 characters, less one
    assert second == "phase 2 · 96 px · loss 0.4188 · val/map 0.3500 · 1,234 images/s"
    assert drawn(120, **FULL)[1] == f"{second} · early+late frozen"


@pytest.mark.parametrize("width", [120, 80, 60, 40, 20])
def test_no_line_is_wider_than_the_terminal(width):
    lines = drawn(width, **FULL, is_stopping=True)
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("phase 2 · 96 px")


def test_at_the_start_there_is_little_to_say():
    first, second = drawn(80)
    assert words(first) == "epoch 1/6 starting"
    assert second == "phase 0 · 64 px · early+late frozen"


def test_in_the_last_epoch_its_end_is_that_of_all():
    last = FULL | {"epoch": 5, "all_left": FULL["epoch_left"]}
    assert words(drawn(80, **last)[0]) == "epoch 6/6 12/50 · epoch 0:12 left"


def test_it_tells_validation_and_a_stop():
    lines = drawn(80, **FULL, validates=True, is_stopping=True)
    assert words(lines[0]).startswith("epoch 4/6 validating 12/50 · epoch 0:12 left")
    assert lines[2] == "Stopping after this batch, or after the validation; Ctrl-C again stops at once."


def test_rows_stand_below_their_heads():
    table = EpochTable(RECIPE, NAMES, 80)
    scores = {"train/loss": 0.64299, "val/map": 1.0}
    assert table.head == "epoch  phase  pixels  train/loss  val/loss  val/map  images/s    time"
    assert table.row(3, scores, 12345.6, 5.08) == (
        "  4/6      2      96      0.6430         -   1.0000    12,346   5.1 s"
    )
    assert table.row(0, scores, 9, 7200).endswith("9  2 h 0 min")


def test_columns_that_do_not_fit_are_left_out():
    assert EpochTable(RECIPE, NAMES, 60).head == "epoch  phase  pixels  train/loss  val/loss  val/map"
    assert EpochTable(RECIPE, NAMES, 60).row(0, {}, 9, 9) == "  1/6      0      64           -         -        -"
