"""The tables of a network: groups in the terminal, blocks in a file."""

import pytest

from polytag.models.network import build_network
from polytag.models.summary import list_blocks
from polytag.schedule.curves import Constant
from polytag.schedule.recipes import freeze_unfreeze
from polytag.tracking import model_table
from polytag.tracking.model_table import describe_network, model_text, print_groups

STAGES = ["frozen", "unfrozen", "unfrozen"]
RECIPE = freeze_unfreeze([224, 64], STAGES, 0.01, Constant(), [1, 1, 1], group_lr_div=[9, 3, 1])


@pytest.fixture(scope="module")
def resnet():
    network = build_network("resnet18", "none", "linear", 5)
    return describe_network(network), list_blocks(network, [224, 64])


def rows(text):
    return [line.split() for line in text.splitlines() if line.split() and "─" not in line]


def test_groups_have_a_row_each(resnet, capsys):
    title, blocks = resnet
    print_groups(blocks, RECIPE, title)

    lines = rows(capsys.readouterr().out)
    assert " ".join(lines[0]) == "Network: resnet18 with a LinearHead"
    assert [" ".join(line) for line in lines[3:-1]] == [
        "early 6 128 x 28 x 28 128 x 8 x 8 683,072 1-2, 4-5",
        "late 4 512 x 7 x 7 512 x 2 x 2 10,493,440 1-2, 4-5",
        "head 1 5 5 2,565 0-5",
        "all 11 11,179,077",  # 11,176,512 without the last layer, which timm counts too
    ]


@pytest.mark.parametrize(("width", "shapes"), [("80", 2), ("60", 1), ("45", 0)])
def test_where_there_is_no_room_outputs_are_left_out_and_no_number_is_cut(resnet, capsys, monkeypatch, width, shapes):
    monkeypatch.setattr(model_table, "console", type(model_table.console)(width=int(width)))
    title, blocks = resnet
    print_groups(blocks, RECIPE, title)

    out = capsys.readouterr().out
    late = next(line for line in rows(out) if line[0] == "late")
    assert late.count("x") == 2 * shapes
    assert "10,493,440" in late
    assert max(map(len, out.splitlines())) <= int(width)


def test_the_file_has_a_row_a_block_and_one_a_phase(resnet):
    title, blocks = resnet
    text = model_text(blocks, RECIPE, title)

    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    lines = [" ".join(line) for line in rows(text)]
    assert lines[0] == "Network: resnet18 with a LinearHead"
    assert lines[1:3] == [
        "output at output at trains in",
        "group block kind 224 px 64 px parameters phases",
    ]
    assert lines[3] == "early conv1 Conv2d 64 x 112 x 112 64 x 32 x 32 9,408 1-2, 4-5"
    assert lines[5] == "layer1.0 BasicBlock 64 x 56 x 56 64 x 16 x 16 73,984 1-2, 4-5"
    assert lines[13:15] == ["head head LinearHead 5 5 2,565 0-5", "all 11,179,077"]
    assert lines[15:19] == [
        "Parameters that each phase trains",
        "phase pixels frozen trained share",
        "0 224 early+late 2,565 0.0%",
        "1 224 - 11,179,077 100.0%",
    ]
    assert len(lines) == 23


def test_a_block_that_puts_out_no_tensor_has_a_dash():
    network = build_network("test_vit", "none", "linear", 5)
    lines = rows(model_text(list_blocks(network, [224, 64]), RECIPE, describe_network(network)))
    assert lines[3] == ["early", "cls_token,", "pos_embed", "-", "-", "6,528", "1-2,", "4-5"]


def test_a_run_keeps_the_table(finished_run):
    text = (finished_run / "model.txt").read_text()
    assert text.startswith("Network: test_resnet with a LinearHead\n")
    assert "32 px" in text and "48 px" in text
