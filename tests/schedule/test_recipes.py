"""The recipes: which phases they write out. The expected values are written out."""

import pytest

from polytag.data.transforms import Plain
from polytag.errors import UserError
from polytag.schedule.curves import Constant, Cycles, OneCycle
from polytag.schedule.recipe import Phase
from polytag.schedule.recipes import (
    fine_tune,
    free_phases,
    freeze_unfreeze,
    gradual_unfreezing,
    linear_probe,
    one_stage,
)


def planet(**options):
    return freeze_unfreeze(
        [64, 128, 256], ["frozen", "unfrozen"], lr=0.2, curve=Cycles(3, 1, 2), group_lr_div=[9, 3, 1], **options
    )


def fastbook(**options):
    return fine_tune(128, 3, lr=3e-3, freeze_epochs=4, **options)


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


def test_stages_have_their_own_epochs_and_rates():
    recipe = freeze_unfreeze(
        [64, 96], ["frozen", "unfrozen"], lr=0.01, curve=OneCycle(), epochs=[1, 3], stage_lr_div=[1, 2]
    )
    assert [p.epochs for p in recipe.phases] == [1, 3, 1, 3]
    assert [p.lr for p in recipe.phases] == [0.01, 0.005, 0.01, 0.005]


def test_a_stage_of_no_epochs_is_left_out():
    recipe = freeze_unfreeze([64], ["frozen", "unfrozen"], lr=0.01, curve=OneCycle(), epochs=[0, 3])
    assert [(p.frozen, p.epochs) for p in recipe.phases] == [((), 3)]


def test_each_image_size_may_have_its_own_batch_size():
    assert [p.batch_size for p in planet(batch_sizes=[256, 128, 32]).phases] == [256, 256, 128, 128, 32, 32]
    assert [p.batch_size for p in planet(batch_sizes=48).phases] == [48] * 6
    assert [p.batch_size for p in planet().phases] == [None] * 6
    with pytest.raises(UserError, match=r"recipe\.batch_sizes must be one number or one a image size \(64, 128, 256\)"):
        planet(batch_sizes=[256, 128])


def test_rates_decay_from_group_to_group():
    recipe = one_stage(64, 1e-2, Constant(), epochs=1, group_lr_decay=0.5, groups=5)
    assert recipe.group_lrs(0.0) == pytest.approx(
        {"group_0": 6.25e-4, "group_1": 1.25e-3, "group_2": 2.5e-3, "group_3": 5e-3, "head": 1e-2}
    )


def test_a_decay_comes_before_divisors():
    recipe = one_stage(64, 8e-3, Constant(), epochs=1, group_lr_div=[9, 3, 1], group_lr_decay=0.5)
    assert recipe.group_lrs(0.0) == pytest.approx({"early": 2e-3, "late": 4e-3, "head": 8e-3})
    same = one_stage(64, 8e-3, Constant(), epochs=1, group_lr_decay=1)
    assert same.group_lrs(0.0) == {"early": 8e-3, "late": 8e-3, "head": 8e-3}


def test_divisors_for_another_number_of_groups_are_refused_with_the_way_out():
    with pytest.raises(UserError, match=r"group_0, group_1, group_2, head\), not \[9, 3, 1\].*group_lr_decay=0\.7"):
        one_stage(64, 1e-2, Constant(), epochs=1, group_lr_div=[9, 3, 1], groups=4)
    for decay in (0.0, -0.7):
        with pytest.raises(UserError, match=f"group_lr_decay must be above 0, such as 0.7, not {decay}"):
            one_stage(64, 1e-2, Constant(), epochs=1, group_lr_decay=decay)


def test_frozen_groups_follow_the_number_of_groups():
    recipe = freeze_unfreeze([64], ["frozen", "unfrozen"], 0.1, Constant(), 1, groups=4)
    assert [p.frozen for p in recipe.phases] == [("group_0", "group_1", "group_2"), ()]
    assert linear_probe(64, 0.1, Constant(), 1, groups=2).phases[0].frozen == ("group_0",)


# fastai v2 (fastai/callback/schedule.py): fine_tune(3, base_lr=3e-3, freeze_epochs=4), calculated by hand. The first
# stage rises from 3e-3 / 25 for 0.99 * 4 = 3.96 epochs and falls to 3e-3 / 1e5. In the second one the head's peak is
# 1.5e-3, the first group's a hundredth of it and the middle one's the geometric mean, a tenth; all start at a fifth,
# rise for 0.3 * 3 = 0.9 epochs and fall to 1e-5 of the peak. Half way along a cosine lies the mean of its ends.
FASTBOOK = [
    # position, rates of early, late and head, momentum
    (0.00, (0, 0, 1.2e-4), 0.95),
    (1.98, (0, 0, 1.56e-3), 0.90),
    (3.96, (0, 0, 3e-3), 0.85),
    (3.98, (0, 0, 1.500015e-3), 0.90),
    (4.00, (3e-6, 3e-5, 3e-4), 0.95),
    (4.45, (9e-6, 9e-5, 9e-4), 0.90),
    (4.90, (1.5e-5, 1.5e-4, 1.5e-3), 0.85),
    (5.95, (7.500075e-6, 7.500075e-5, 7.500075e-4), 0.90),
    (7.00, (1.5e-10, 1.5e-9, 1.5e-8), 0.95),
]


@pytest.mark.parametrize(("position", "rates", "momentum"), FASTBOOK)
def test_fine_tune_has_the_rates_of_fastai(position, rates, momentum):
    recipe = fastbook()
    assert tuple(recipe.group_lrs(position).values()) == pytest.approx(rates, rel=1e-9)
    assert recipe.momentum(position) == pytest.approx(momentum)


def test_fine_tune_trains_the_head_and_then_everything():
    recipe = fastbook()
    assert [(p.image_size, p.epochs, p.frozen) for p in recipe.phases] == [(128, 4, ("early", "late")), (128, 3, ())]
    assert [(p.epochs, p.frozen) for p in fine_tune(64, 2, freeze_epochs=0).phases] == [(2, ())]


def test_fine_tune_spreads_the_rates_over_any_number_of_groups():
    recipe = fine_tune(64, 10, lr=2e-3, groups=5)
    # Each is the square root of ten times the one before; the peak comes after 3 of the second stage's 10 epochs.
    assert tuple(recipe.group_lrs(4.0).values()) == pytest.approx((1e-5, 3.1622777e-5, 1e-4, 3.1622777e-4, 1e-3))
    assert tuple(fine_tune(64, 10, lr=2e-3, groups=2).group_lrs(4.0).values()) == pytest.approx((1e-5, 1e-3))


def test_fine_tunes_other_numbers():
    recipe = fine_tune(64, 4, lr=0.02, lr_mult=4, pct_start=0.5, div=10)
    assert recipe.group_lrs(1.0) == pytest.approx({"early": 2.5e-4, "late": 5e-4, "head": 1e-3})
    assert recipe.group_lrs(3.0) == pytest.approx({"early": 2.5e-3, "late": 5e-3, "head": 1e-2})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr_mult": 0}, "lr_mult must be above 0, such as 100, not 0"),
        ({"freeze_epochs": -1}, "whole numbers from 1, not -1 epochs at 64 px"),
        ({"pct_start": 0}, "pct_start must lie between 0 and 1"),
        ({"div": 0}, "div and final_div must be above 0"),
    ],
)
def test_an_impossible_fine_tune_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        fine_tune(64, 2, **options)


def test_gradual_unfreezing_thaws_the_deepest_group_first():
    recipe = gradual_unfreezing(96, 0.01, OneCycle(), [1, 2, 3], group_lr_div=[9, 3, 1], stage_lr_div=[1, 1, 2])
    assert [(p.frozen, p.epochs, p.lr) for p in recipe.phases] == [
        (("early", "late"), 1, 0.01),
        (("early",), 2, 0.01),
        ((), 3, 0.005),
    ]
    assert recipe.image_sizes == (96,)
    assert recipe.phases[2].group_lr_div == (9, 3, 1)


def test_gradual_unfreezing_has_as_many_stages_as_groups():
    recipe = gradual_unfreezing(96, 0.01, OneCycle(), 2, groups=4)
    assert [p.frozen for p in recipe.phases] == [
        ("group_0", "group_1", "group_2"),
        ("group_0", "group_1"),
        ("group_0",),
        (),
    ]
    with pytest.raises(UserError, match=r"one a stage \(head thaws, group_2 thaws, group_1 thaws, group_0 thaws\)"):
        gradual_unfreezing(96, 0.01, OneCycle(), [1, 1, 2], groups=4)


def test_short_recipes():
    assert one_stage(128, 1e-3, OneCycle(), epochs=5).phases == (Phase(128, 5, 1e-3, OneCycle()),)
    probe = linear_probe(96, 1e-2, Constant(), epochs=4)
    assert probe.phases[0].frozen == ("early", "late")
    assert probe.group_lrs(1.0) == {"early": 0.0, "late": 0.0, "head": 1e-2}


def test_free_phases():
    recipe = free_phases(
        [
            {"image_size": 64, "epochs": 1, "frozen": ["early", "late"], "batch_size": 256},
            {"image_size": 96, "lr_div": 2, "frozen": "early", "curve": Cycles(2, 1, 1)},
            {"image_size": 96, "epochs": 2, "lr": 0.3, "group_lr_div": [4, 2, 1], "transforms": Plain("crop")},
            {"image_size": 96, "epochs": 2, "frozen": None, "lr": None, "transforms": None},
        ],
        lr=0.1,
        curve=Constant(),
        group_lr_div=[9, 3, 1],
    )
    assert [p.curve for p in recipe.phases] == [Constant(), Cycles(2, 1, 1), Constant(), Constant()]
    assert [(p.epochs, p.lr, p.frozen, p.group_lr_div) for p in recipe.phases] == [
        (1, 0.1, ("early", "late"), (9, 3, 1)),
        (2, 0.05, ("early",), (9, 3, 1)),
        (2, 0.3, (), (4, 2, 1)),
        (2, 0.1, (), (9, 3, 1)),
    ]
    assert [p.batch_size for p in recipe.phases] == [256, None, None, None]
    assert [p.transforms for p in recipe.phases] == [None, None, Plain("crop"), None]


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({"image_sise": 64}, r"recipe\.phases\[1\]: a phase has no 'image_sise'\. Did you mean 'image_size'\? Known: "),
        ({"groups": 4}, r"a phase has no 'groups'"),
        ({"image_size": None}, r"recipe\.phases\[1\] needs an image_size"),
        ({"epochs": None}, r"recipe\.phases\[1\]\.epochs is needed"),
        ({"curve": Cycles(2)}, r"recipe\.phases\[1\]\.epochs=1 contradicts the curve, whose cycles last 2"),
        ({"curve": "cycles"}, r"recipe\.phases\[1\]\.curve needs a _target_.*conf/curve.*'cycles'"),
        ({"transforms": {"resize": "pad"}}, r"recipe\.phases\[1\]\.transforms needs a _target_.*conf/transforms"),
        ({"lr_div": 0}, "lr_div must be above 0, not 0"),
        ({"batch_size": 0}, r"recipe\.phases\[1\]: a phase's batch_size must be 1 or more, not 0"),
        ({"group_lr_div": [3, 1]}, r"recipe\.phases\[1\]: .*group_lr_div must have one number"),
        ({"frozen": "middle"}, r"recipe\.phases\[1\]: no layer group middle to freeze\. There are early, late, head"),
    ],
)
def test_impossible_free_phases_are_refused(phase, message):
    good = {"image_size": 64, "epochs": 1}
    with pytest.raises(UserError, match=message):
        free_phases([good, good | phase], lr=0.1, curve=Constant())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": ["frosen"]}, "'frosen' is none of frozen, unfrozen"),
        ({"epochs": None}, "epochs is needed"),
        ({"epochs": [1]}, "one number or one a stage"),
        ({"epochs": 2, "curve": Cycles(2)}, "contradicts the curve, whose cycles last 2: set it to null"),
        ({"epochs": 1.5}, "whole numbers from 1, not 1.5 epochs"),
        ({"epochs": 0}, "there is no phase to train"),
        ({"group_lr_div": [3, 1]}, "one number above 0 a layer group"),
        ({"stage_lr_div": [1, 0]}, "stage_lr_div must be above 0, not 0"),
        ({"lr": 0.0}, "above 0, not 0.0"),
        ({"image_sizes": []}, "at least one size"),
        ({"image_sizes": [0]}, "whole numbers from 1, not 1 epoch at 0 px"),
        ({"groups": 1}, "there must be 2 groups or more"),
    ],
)
def test_impossible_recipes_are_refused(options, message):
    plain = {"image_sizes": [64], "stages": ["frozen", "unfrozen"], "lr": 0.1, "curve": OneCycle(), "epochs": 1}
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        freeze_unfreeze(**(plain | options))
