"""Recipes: phases, positions, rates. The expected values are written out."""

import pytest

from polytag.errors import UserError
from polytag.schedule.curves import Constant, Cycles, OneCycle
from polytag.schedule.recipe import (
    Phase,
    Recipe,
    free_phases,
    freeze_unfreeze,
    linear_probe,
    one_stage,
    position_at,
)


def planet():
    return freeze_unfreeze(
        [64, 128, 256], ["frozen", "unfrozen"], lr=0.2, curve=Cycles(3, 1, 2), group_lr_div=[9, 3, 1]
    )


def test_the_planet_lesson_expands_to_42_epochs():
    recipe = planet()
    assert recipe.epochs == 42
    assert recipe.starts == (0, 7, 14, 21, 28, 35)
    assert [(p.image_size, p.frozen, p.epochs) for p in recipe.phases] == [
        (64, ("early", "late"), 7),
        (64, (), 7),
        (128, ("early", "late"), 7),
        (128, (), 7),
        (256, ("early", "late"), 7),
        (256, (), 7),
    ]
    assert recipe.image_sizes == (64, 128, 256)


def test_rates_go_by_group_and_position():
    recipe = planet()
    assert recipe.group_lrs(0.0) == pytest.approx({"early": 0, "late": 0, "head": 0.2})
    assert recipe.group_lrs(0.5) == pytest.approx({"early": 0, "late": 0, "head": 0.1})
    assert recipe.group_lrs(7.0) == pytest.approx({"early": 0.2 / 9, "late": 0.2 / 3, "head": 0.2})
    assert recipe.group_lrs(9.0) == pytest.approx({"early": 0.1 / 9, "late": 0.1 / 3, "head": 0.1})


def test_phase_of_an_epoch_and_its_ends():
    recipe = planet()
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


def test_stages_have_their_own_epochs_and_rates():
    recipe = freeze_unfreeze(
        [64, 96], ["frozen", "unfrozen"], lr=0.01, curve=OneCycle(), epochs=[1, 3], stage_lr_div=[1, 2]
    )
    assert [p.epochs for p in recipe.phases] == [1, 3, 1, 3]
    assert [p.lr for p in recipe.phases] == [0.01, 0.005, 0.01, 0.005]


def test_a_stage_of_no_epochs_is_left_out():
    recipe = freeze_unfreeze([64], ["frozen", "unfrozen"], lr=0.01, curve=OneCycle(), epochs=[0, 3])
    assert [(p.frozen, p.epochs) for p in recipe.phases] == [((), 3)]


def test_short_recipes():
    assert one_stage(128, 1e-3, OneCycle(), epochs=5).phases == (Phase(128, 5, 1e-3, OneCycle()),)
    probe = linear_probe(96, 1e-2, Constant(), epochs=4)
    assert probe.phases[0].frozen == ("early", "late")
    assert probe.group_lrs(1.0) == {"early": 0.0, "late": 0.0, "head": 1e-2}


def test_free_phases():
    recipe = free_phases(
        [
            {"image_size": 64, "epochs": 1, "frozen": ["early", "late"]},
            {"image_size": 96, "lr_div": 2, "frozen": ["early"], "curve": Cycles(2, 1, 1)},
        ],
        lr=0.1,
        curve=Constant(),
    )
    assert [p.curve for p in recipe.phases] == [Constant(), Cycles(2, 1, 1)]
    assert [(p.epochs, p.lr, p.frozen, p.group_lr_div) for p in recipe.phases] == [
        (1, 0.1, ("early", "late"), (9, 3, 1)),
        (2, 0.05, ("early",), (9, 3, 1)),
    ]
    with pytest.raises(UserError, match=r"recipe\.phases\[0\].*image_sise"):
        free_phases([{"image_sise": 64, "epochs": 1}], lr=0.1, curve=Constant())


def test_shortened_for_a_quick_trial():
    short = planet().shortened(1)
    assert short.epochs == 6
    assert planet().shortened(None) == planet()
    with pytest.raises(UserError, match="1 or more, not 0"):
        planet().shortened(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ["frosen"]}, "'frosen' is none of frozen, unfrozen"),
        ({"epochs": None}, "epochs is needed"),
        ({"epochs": [1]}, "one number or one a stage"),
        ({"epochs": 2, "curve": Cycles(2)}, "contradicts the curve"),
        ({"group_lr_div": [3, 1]}, "one number above 0 a layer group"),
        ({"lr": 0.0}, "above 0, not 0.0"),
        ({"image_sizes": []}, "at least one size"),
        ({"image_sizes": [0]}, "image size and epochs of 1 or more"),
    ],
)
def test_impossible_recipes_are_refused(options, message):
    plain = {"image_sizes": [64], "stages": ["frozen", "unfrozen"], "lr": 0.1, "curve": OneCycle(), "epochs": 1}
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        freeze_unfreeze(**(plain | options))


def test_freezing_everything_is_refused():
    with pytest.raises(UserError, match="trains nothing"):
        Recipe((Phase(64, 1, 0.1, Constant(), frozen=("early", "late", "head")),))
    with pytest.raises(UserError, match="no layer group middle"):
        Phase(64, 1, 0.1, Constant(), frozen=("middle",))
