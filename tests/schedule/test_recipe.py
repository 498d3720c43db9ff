"""Phases and recipes as plain data: positions, rates, ends. The expected values are written out."""

import pytest

from polytag.errors import UserError
from polytag.schedule.curves import Constant, Cycles, OneCycle
from polytag.schedule.recipe import Phase, Recipe, group_names, position_at


def planet():
    """Return the phases of the Planet lesson: three sizes, frozen and unfrozen, 1 + 2 + 4 epochs each."""
    return Recipe(
        tuple(
            Phase(size, 7, 0.2, Cycles(3, 1, 2), frozen, (9, 3, 1))
            for size in (64, 128, 256)
            for frozen in (("early", "late"), ())
        )
    )


def test_rates_go_by_group_and_position():
    recipe = planet()
    assert recipe.group_lrs(0.0) == pytest.approx({"early": 0, "late": 0, "head": 0.2})
    assert recipe.group_lrs(0.5) == pytest.approx({"early": 0, "late": 0, "head": 0.1})
    assert recipe.group_lrs(7.0) == pytest.approx({"early": 0.2 / 9, "late": 0.2 / 3, "head": 0.2})
    assert recipe.group_lrs(9.0) == pytest.approx({"early": 0.1 / 9, "late": 0.1 / 3, "head": 0.1})


def test_the_momentum_is_that_of_the_phases_curve():
    one_cycle = OneCycle(pct_start=0.5, cycle_momentum=(0.9, 0.5))
    recipe = Recipe((Phase(64, 2, 0.1, one_cycle), Phase(64, 1, 0.1, Constant()), Phase(64, 4, 0.1, one_cycle)))
    assert [recipe.momentum(p) for p in (0, 0.5, 1, 1.5)] == pytest.approx([0.9, 0.7, 0.5, 0.7])
    assert [recipe.momentum(p) for p in (2, 2.9)] == [None, None]
    assert [recipe.momentum(p) for p in (3, 4, 5, 6, 7)] == pytest.approx([0.9, 0.7, 0.5, 0.7, 0.9])


def test_phase_of_an_epoch_and_its_ends():
    recipe = planet()
    assert recipe.epochs == 42
    assert recipe.starts == (0, 7, 14, 21, 28, 35)
    assert recipe.image_sizes == (64, 128, 256)
    assert [recipe.index_at(e) for e in (0, 6, 7, 41)] == [0, 0, 1, 5]
    assert recipe.index_at(42) == 5  # where Lightning's counter stands after the fit
    assert recipe.is_phase_start(7)
    assert not recipe.is_phase_start(8)
    assert [e for e in range(42) if recipe.is_phase_end(e)] == [6, 13, 20, 27, 34, 41]
    assert recipe.phase_end(8) == 13


def test_position_moves_with_optimizer_steps():
    assert position_at(3, 0, 10) == 3.0
    assert position_at(3, 5, 10) == 3.5
    # 10 batches in groups of 4 are 3 optimizer steps: batches 4 to 7 belong to the second.
    assert [position_at(0, b, 10, accumulate=4) for b in (0, 3, 4, 8, 9)] == pytest.approx([0, 0, 1 / 3, 2 / 3, 2 / 3])


def test_names_of_layer_groups():
    assert group_names(3) == ("early", "late", "head")
    assert group_names(2) == ("group_0", "head")
    assert group_names(5) == ("group_0", "group_1", "group_2", "group_3", "head")
    with pytest.raises(UserError, match=r"model\.layer_groups=1: there must be 2 groups or more"):
        group_names(1)


def test_a_phase_of_other_groups():
    phase = Phase(64, 1, 0.8, Constant(), ("group_0",), (8, 4, 2, 1), group_names(4))
    assert phase.group_lrs(0.5) == {"group_0": 0.0, "group_1": 0.2, "group_2": 0.4, "head": 0.8}
    assert Phase(64, 1, 0.8, Constant(), groups=group_names(4)).group_lr_div == (1, 1, 1, 1)


def test_shortened_for_a_quick_trial():
    short = planet().shortened(1)
    assert short.epochs == 6
    assert planet().shortened(None) == planet()
    with pytest.raises(UserError, match="1 or more, not 0"):
        planet().shortened(0)


def test_a_shortened_phase_keeps_the_rest():
    phase = Phase(64, 5, 0.1, OneCycle(), ("early",), (4, 2, 1), batch_size=16)
    assert Recipe((phase,)).shortened(2).phases == (
        Phase(64, 2, 0.1, OneCycle(), ("early",), (4, 2, 1), batch_size=16),
    )


def test_phases_describe_themselves():
    assert Phase(64, 1, 0.1, Constant(), ("early", "late")).describe() == "1 epoch at 64 px, early+late frozen"
    assert Phase(96, 3, 0.1, Constant()).describe() == "3 epochs at 96 px, all groups train"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frozen": ("early", "late", "head")}, "every layer group is frozen trains nothing"),
        ({"frozen": ("middle",)}, r"no layer group middle to freeze\. There are early, late, head\."),
        ({"group_lr_div": (3, 0, 1)}, r"one number above 0 a layer group \(early, late, head\), not \[3, 0, 1\]"),
        ({"batch_size": 0}, "batch_size must be 1 or more, not 0"),
        ({"lr": -0.1}, "lr must be above 0, not -0.1"),
        ({"epochs": 2.5}, "whole numbers from 1, not 2.5 epochs at 64 px"),
        ({"image_size": 64.5}, "whole numbers from 1, not 1 epoch at 64.5 px"),
    ],
)
def test_impossible_phases_are_refused(options, message):
    plain = {"image_size": 64, "epochs": 1, "lr": 0.1, "curve": Constant()}
    with pytest.raises(UserError, match=message):
        Phase(**(plain | options))


def test_a_recipe_needs_a_phase():
    with pytest.raises(UserError, match="there is no phase to train"):
        Recipe(())
