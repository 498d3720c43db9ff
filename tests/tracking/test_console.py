"""The tables of a recipe and of the labels."""

from pathlib import Path

import pytest

from polytag.data.label_table import make_table
from polytag.data.transforms import Dihedral
from polytag.models.network import build_network
from polytag.phase_costs import Cost
from polytag.schedule.curves import Constant, OneCycle
from polytag.schedule.recipes import free_phases, freeze_unfreeze, gradual_unfreezing
from polytag.tracking.console import print_labels, short_count
from polytag.tracking.recipe_table import print_recipe

RECIPE = freeze_unfreeze([64], ["frozen", "unfrozen"], 0.01, OneCycle(), [1, 3], group_lr_div=[9, 3, 1])


def cells(text):
    """Return the words of each line that has any."""
    return [line.split() for line in text.splitlines() if line.split()]


def test_one_row_a_phase_with_the_peak_rate_of_each_group(capsys):
    print_recipe(RECIPE, batch_size=32)

    assert cells(capsys.readouterr().out) == [
        ["Recipe:", "4", "epochs", "in", "2", "phases"],
        ["lr", "lr", "lr"],
        ["phase", "epochs", "pixels", "batch", "frozen", "early", "late", "head"],
        ["─" * 64],
        ["0", "1", "64", "32", "early+late", "-", "-", "0.01"],
        ["1", "3", "64", "32", "-", "0.0011", "0.0033", "0.01"],
    ]


def test_costs_are_added_up(capsys):
    print_recipe(RECIPE, costs=[Cost(1600, 12.34), Cost(4800, 3600)])

    rows = cells(capsys.readouterr().out)
    assert rows[-3][-3:] == ["1,600", "12.3", "s"]
    assert rows[-1] == ["all", "4", "6,400", "60", "min"]
    assert "batch" not in rows[2]


def test_headers_say_how_many_parameters_a_group_has(capsys):
    network = build_network("test_resnet", "none", "linear", 5)
    head = sum(parameter.numel() for parameter in network.head.parameters())

    print_recipe(RECIPE, network)

    _, rates, names, counts, *_ = cells(capsys.readouterr().out)
    assert (rates, names) == (["lr"] * 3, ["early", "late", "head"])
    assert counts[-1] == short_count(head)


def test_curves_and_transforms_are_shown_where_phases_differ(capsys):
    phases = [
        {"image_size": 64, "epochs": 1, "curve": Constant()},
        {"image_size": 64, "epochs": 1, "transforms": Dihedral()},
    ]
    print_recipe(free_phases(phases, 0.01, OneCycle()))

    _, _, header, _, first, second = cells(capsys.readouterr().out)
    assert header[-2:] == ["curve", "transforms"]
    assert first[-2:] == ["Constant", "-"]
    assert second[-2:] == ["OneCycle", "Dihedral"]


def test_many_groups_share_a_column_and_nothing_is_cut_off_in_a_narrow_window(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    print_recipe(gradual_unfreezing(64, 0.01, Constant(), 1, group_lr_decay=0.5, groups=8))

    rows = [" ".join(row) for row in cells(capsys.readouterr().out)]
    assert "phase epochs pixels frozen first to last" in rows
    assert "0 1 64 group_0 to group_6 (7) 0.01" in rows
    assert "7 1 64 - 7.8e-05 to 0.01" in rows


@pytest.mark.parametrize(
    ("number", "text"), [(999, "999"), (1234, "1.23k"), (999_600, "1M"), (85_800_000, "85.8M"), (2_000_000_000, "2G")]
)
def test_numbers_of_parameters_are_short(number, text):
    assert short_count(number) == text


def test_one_row_a_class_the_most_frequent_first(capsys):
    labels = [["dog"], ["cat", "dog"], ["dog"], [], ["cat"], ["dog"]]
    split = ["train"] * 4 + ["val", "test"]
    print_labels(make_table(Path("."), list("abcdef"), labels, classes=["[b]at", "cat", "dog"], split=split))

    *rows, last = cells(capsys.readouterr().out)
    assert rows == [
        ["Images", "with", "each", "label"],
        ["class", "train", "share", "val", "test"],
        ["─" * 32],
        ["dog", "3", "75.0%", "0", "1"],
        ["cat", "1", "25.0%", "1", "0"],
        ["[b]at", "0", "0.0%", "0", "0"],
    ]
    assert " ".join(last) == "Train images: 1.00 labels an image, density 0.333; largest over smallest count 3.0"


def test_unknown_labels_have_a_column_and_shares_are_of_what_is_known(capsys):
    labels, unknown = [["a"], ["a"], [], ["b"]], [["b"], ["b"], ["b"], ["a"]]
    print_labels(make_table(Path("."), list("wxyz"), labels, unknown=unknown, split=["train"] * 3 + ["val"]))

    rows = cells(capsys.readouterr().out)
    assert rows[1] == ["class", "train", "share", "val", "unknown"]
    assert rows[3:5] == [["a", "2", "66.7%", "0", "1"], ["b", "0", "-", "1", "3"]]


def test_of_many_classes_both_ends_are_shown(capsys):
    names = [f"c{number:02d}" for number in range(33)]
    labels = [names[image:] for image in range(33)]  # class number n is on n + 1 images
    print_labels(make_table(Path("."), [str(image) for image in range(33)], labels, split=["train"] * 33))

    rows = cells(capsys.readouterr().out)[3:-1]
    assert [row[0] for row in rows[:15]] == [f"c{number:02d}" for number in range(32, 17, -1)]
    assert rows[15] == ["...", "3", "between,", "16", "to", "18"]
    assert [row[0] for row in rows[16:]] == [f"c{number:02d}" for number in range(14, -1, -1)]
    print_labels(make_table(Path("."), ["0"], [names[:30]], split=["train"]))
    assert "between" not in capsys.readouterr().out


def test_a_long_name_of_a_class_is_folded(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = "x" * 100
    print_labels(make_table(Path("."), list("abc"), [[name], [], []], split=["train", "val", "test"]))

    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines[:-1]) <= 80
    assert "".join(line.split()[0] for line in lines if "xx" in line) == name
