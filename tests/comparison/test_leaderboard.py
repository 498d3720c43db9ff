"""The order of runs."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.text import Text

from polytag.comparison.leaderboard import rank
from polytag.comparison.row import Row
from polytag.comparison.terminal import MAX_ROWS, print_leaderboard, settings_text
from polytag.errors import UserError
from polytag.run_folder import RunFolder


def row(name, metric="val/map", mode="max", broken="", config=None, **scores):
    named = {f"val/{key}": value for key, value in scores.items()}
    return Row(RunFolder(Path("logs") / name), name, config or {}, metric, mode, 1, named, broken=broken)


def order(board):
    return [one.name for one in board.rows]


def test_the_best_first_by_the_common_monitor_and_broken_ones_apart():
    board = rank([row("a", map=0.5), row("b", broken="gone"), row("c", map=0.9), row("d"), row("e", map=0.7)])
    assert order(board) == ["c", "e", "a", "d"]
    assert [one.name for one in board.others] == ["b"]
    assert (board.metric, board.mode, board.note, board.folder) == ("val/map", "max", "", "logs")
    assert [one.name for one in board.scored] == ["c", "e", "a"]
    assert math.isnan(board.score(board.rows[-1]))


def test_less_is_better_for_some():
    rows = [row("a", "val/loss", "min", loss=0.5, map=0.5), row("b", "val/loss", "min", loss=0.2, map=0.1)]
    assert order(rank(rows)) == ["b", "a"]
    assert order(rank(rows, "val/map")) == ["a", "b"]
    errors = [row("a", calibration_error=0.1), row("b", calibration_error=0.05)]
    board = rank(errors, "val/calibration_error")
    assert (order(board), board.mode) == (["b", "a"], "min")


def test_runs_with_other_monitors_are_ordered_by_the_most_common():
    rows = [row("a", map=0.5, f2=0.9), row("b", "val/f2", map=0.6, f2=0.1), row("c", map=0.4)]
    board = rank(rows)
    assert order(board) == ["b", "a", "c"]
    assert board.note == "Ordered by val/map, which 2 of 3 runs were monitored by; metric= names another."


def test_a_misspelt_metric_is_a_mistake():
    with pytest.raises(UserError, match=r"No run has a score 'val/mop'\. Did you mean 'val/map'\? There are val/map"):
        rank([row("a", map=0.5)], "val/mop")


BCE, FOCAL = {"_target_": "losses.BCE"}, {"_target_": "losses.Focal"}


def test_losses_of_different_functions_are_pointed_out(capsys):
    rows = [row(name, map=0.5, loss=0.3, config={"criterion": BCE}) for name in "abcde"]
    assert rank(rows).loss_note == ""
    rows += [row("f", map=0.4, loss=0.1, config={"criterion": FOCAL}), row("g", config={"criterion": {}})]
    note = "val/loss of different loss functions cannot be compared: BCE in a, b, c, and 2 more; Focal in f."
    assert rank(rows).loss_note == note
    by_loss = rank(rows, "val/loss")
    assert order(by_loss)[0] == "f"
    assert "Focal in f; BCE in a, b, c, and 2 more. Order by what all runs share" in by_loss.loss_note
    print_leaderboard(by_loss)
    assert "val/loss of different loss functions cannot be compared" in capsys.readouterr().out


def test_speeds_of_precomputed_features_are_marked(capsys):
    rows = [replace(row("a", map=0.5), speed=2000.0, config={"recipe": {"precompute": True}})]
    rows += [replace(row("b", map=0.4), speed=300.0, config={"recipe": {"precompute": False}})]
    print_leaderboard(rank(rows))
    text = capsys.readouterr().out
    assert "2,000* " in text and "300 " in text and "* recipe.precompute=true" in text
    print_leaderboard(rank(rows[1:]))
    assert "*" not in capsys.readouterr().out


def test_no_finished_run_is_an_empty_board():
    board = rank([row("a", broken="gone")])
    assert (board.rows, len(board.others)) == ([], 1)


def test_the_terminal_has_the_first_runs_and_says_how_many_more(capsys):
    rows = [row(f"run{n:02d}", map=0.9 - n / 100, config={"recipe": {"lr": n / 10}}) for n in range(MAX_ROWS + 3)]
    board = rank([*rows, row("lost", broken="config.yaml is missing")])
    assert settings_text(board, 2) == "lr=0.2"
    print_leaderboard(board)
    text = capsys.readouterr().out
    assert "33 finished runs below logs at their best epochs, by val/map" in text
    assert "run29" in text and "run30" not in text
    assert "3 more runs are in the page." in text
    assert "lost: config.yaml is missing" in text


def test_only_what_most_runs_do_not_have_is_told_those_of_the_data_last():
    configs = [{"data": {"limit": limit}, "recipe": {"lr": lr}} for limit, lr in [(1, 0.1), (2, 0.1), (3, 0.3)]]
    board = rank([row(f"r{place}", map=1 - place / 10, config=config) for place, config in enumerate(configs)])
    assert [settings_text(board, place) for place in range(3)] == ["limit=1", "limit=2", "lr=0.3 limit=3"]
    same = rank([row("a", map=0.5), row("b", map=0.4)])
    assert settings_text(same, 0) == "-"


def test_runs_that_miss_for_one_reason_share_a_line(capsys):
    others = [row(f"r{number}", broken="it stopped before its training") for number in range(7)]
    print_leaderboard(rank([row("a", map=0.5), *others, row("b", broken="gone")]))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "Not in the leaderboard (8):" in lines
    assert "r0, r1, r2, r3, r4, and 2 more: it stopped before its training" in lines
    assert "b: gone" in lines


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_keeps_its_width(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    config = {f"key{n}": "x" * 20 for n in range(9)}
    other = dict.fromkeys(config, "y")
    print_leaderboard(rank([row("a", map=0.5, config=config), row("b", map=0.6, config=other)]))
    lines = [Text.from_ansi(line).plain for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= width
    assert any("0.5000" in line and "key0=xxx" in line and "…" in line for line in lines)
