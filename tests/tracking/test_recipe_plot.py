"""The picture of a recipe: what is in it, and that any recipe can be drawn."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from polytag.schedule.curves import Constant, Cycles, OneCycle, WarmupCosine
from polytag.schedule.recipes import fine_tune, freeze_unfreeze, gradual_unfreezing, linear_probe, one_stage
from polytag.tracking import recipe_plot
from polytag.tracking.style import BLUE, group_colours

STAGES = ["frozen", "unfrozen"]
RECIPE = freeze_unfreeze(
    [64, 96], STAGES, 0.01, OneCycle(), [1, 3], group_lr_div=[9, 3, 1], stage_lr_div=[1, 2], batch_sizes=[32, 16]
)
ODD = {
    "one epoch": one_stage(128, 1e-3, OneCycle(), 1),
    "a hundred cycles": one_stage(224, 1e-3, Cycles(100)),
    "a short phase before a long one": freeze_unfreeze([224], STAGES, 1e-3, WarmupCosine(), [1, 99]),
    "many phases": freeze_unfreeze(range(64, 288, 16), STAGES, 1e-2, OneCycle(), [1, 2], group_lr_div=[9, 3, 1]),
    "many groups": gradual_unfreezing(128, 1e-2, OneCycle(), 2, group_lr_decay=0.7, groups=14),
    "many equal groups": one_stage(224, 1e-3, Constant(), 5, groups=14),
    "two groups": fine_tune(128, 3, groups=2),
}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return the figure of a recipe instead of its file."""
    figures = []
    monkeypatch.setattr(recipe_plot, "save", lambda figure, path: figures.append(figure))

    def draw(recipe):
        recipe_plot.plot_recipe(recipe, tmp_path / "recipe.png")
        return figures[-1]

    return draw


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("recipe", ODD.values(), ids=ODD)
def test_any_recipe_is_drawn_without_a_warning(tmp_path, recipe, recwarn):
    recipe_plot.plot_recipe(recipe, tmp_path / "plots" / "recipe.png")

    with Image.open(tmp_path / "plots" / "recipe.png") as image:
        assert image.format == "PNG"
        assert image.width == 1350
        assert image.height < 2000
    assert not recwarn.list


def test_sizes_batches_frozen_groups_and_peak_rates_are_written(drawn):
    sizes, lanes, rates = drawn(RECIPE).axes

    assert texts(sizes) == ["64 px, batch 32", "96 px, batch 16"]
    assert [bar.get_height() for bar in sizes.patches] == [64, 96]
    assert texts(lanes) == [
        *("frozen", "0.00056", "frozen", "0.00056"),  # early
        *("frozen", "0.0017", "frozen", "0.0017"),  # late
        *("0.01", "0.005", "0.01", "0.005"),  # head
    ]
    assert [bool(bar.get_hatch()) for bar in lanes.patches] == [True, False, True, False] * 2 + [False] * 4
    assert [text.get_text() for text in rates.get_legend().get_texts()] == ["head", "late", "early"]
    assert sizes.get_title(loc="left") == "8 epochs in 4 phases"


def test_rates_are_lines_of_the_groups_that_train_and_fit_the_axis(drawn):
    rates = drawn(RECIPE).axes[2]
    lines = [line for line in rates.lines if len(line.get_xdata()) > 2]  # the others mark the phases

    assert rates.get_yscale() == "log"
    assert rates.get_xlim() == (0, 8)
    # Phases 0 and 2 train the head alone, 1 and 3 everything.
    assert [round(line.get_xdata()[0]) for line in lines] == [0, 1, 1, 1, 4, 5, 5, 5]
    highest = [max(line.get_ydata()) for line in lines]
    expected = [0.01, 0.005 / 9, 0.005 / 3, 0.005, 0.01, 0.005 / 9, 0.005 / 3, 0.005]
    assert highest == pytest.approx(expected, rel=1e-3)
    assert rates.get_ylim()[1] > 0.01


def test_only_groups_that_train_are_named(drawn):
    probe = drawn(linear_probe(64, 1e-3, OneCycle(), 2)).axes[2]
    assert [text.get_text() for text in probe.get_legend().get_texts()] == ["head"]


def test_the_head_has_one_colour_however_many_groups_there_are():
    assert {group_colours(count)[-1] for count in (2, 3, 4, 5)} == {BLUE}


def test_texts_are_left_out_where_a_phase_is_too_short_for_them(drawn):
    sizes, lanes, _ = drawn(freeze_unfreeze([64, 128], STAGES, 1e-3, Constant(), [1, 99])).axes

    assert texts(sizes) == ["64 px", "128 px"]
    assert texts(lanes) == ["0.001"] * 6
    assert list(sizes.get_yticks()) == [128, 64]


def test_rates_of_a_part_of_a_phase(tmp_path):
    axes = Figure().subplots()
    axes.set_xlim(0, 8)

    recipe_plot.draw_rates(axes, RECIPE, [(0, 1), (1, 2)])

    assert [line.get_xdata()[-1] for line in axes.lines] == pytest.approx([1, 2, 2, 2], abs=1e-5)
