import numpy as np

from polytag.schedule.curves import Constant
from polytag.schedule.recipes import freeze_unfreeze
from polytag.tracking.phase_shades import Span
from polytag.tracking.steps_plot import MAX_POINTS, plot_loss, plot_rates, spans_in_steps

RECIPE = freeze_unfreeze([64, 96], ["frozen"], 0.1, Constant(), epochs=[2])


def step_row(step, epoch, loss=0.5, early=0.0, head=0.1):
    values = {
        "step": step,
        "epoch": epoch,
        "train/loss_step": loss,
        "lr/early": early,
        "lr/late": early,
        "lr/head": head,
    }
    return {name: str(value) for name, value in values.items()}


def history_row(epoch, phase, size, frozen="early+late", **values):
    row = {"epoch": epoch, "phase": phase, "image_size": size, "frozen": frozen, **values}
    return {name: str(value) for name, value in row.items()}


STEPS = [step_row(step, (step - 1) // 3, loss=1 / step) for step in range(1, 10)]  # 3 epochs of 3 steps
HISTORY = [
    history_row(epoch, phase, size, **{"train/loss": 0.4, "val/loss": 0.3 - epoch / 10})
    for epoch, phase, size in ((0, 0, 64), (1, 0, 64), (2, 1, 96))
]


def lines_of(figure):
    (axes,) = figure.axes
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_phases_start_and_end_at_steps():
    assert spans_in_steps(STEPS, HISTORY) == [Span(0, 6, "64", "early+late"), Span(6, 9, "96", "early+late")]


def test_an_epoch_that_has_not_ended_belongs_to_no_phase_yet():
    assert spans_in_steps(STEPS[:5], HISTORY[:1]) == [Span(0, 3, "64", "early+late")]


def test_the_loss_of_each_step_stands_beside_those_of_each_epoch():
    lines = lines_of(plot_loss(STEPS, HISTORY))

    assert lines["each step"] == ([*range(1, 10)], [1 / step for step in range(1, 10)])
    assert lines["val/loss"] == ([3, 6, 9], [0.3, 0.3 - 0.1, 0.3 - 0.2])
    assert "val_raw/loss" not in lines


def test_the_loss_of_an_unfinished_first_epoch_is_drawn():
    assert list(lines_of(plot_loss(STEPS[:2], []))) == ["each step"]


def test_very_many_steps_are_averaged():
    steps = [step_row(step, 0, loss=step % 3) for step in range(1, 3 * MAX_POINTS + 1)]

    (numbers, losses) = lines_of(plot_loss(steps, []))["mean of 3 steps"]
    assert numbers[:2] == [2, 5]
    assert np.allclose(losses, 1)


def test_a_frozen_group_has_no_rate():
    figure = plot_rates([step_row(1, 0), step_row(2, 1, early=0.01)], HISTORY[:2], RECIPE)

    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["head", "late", "early", "early+late frozen"]
    early, _, head = (list(line.get_ydata()) for line in axes.lines)
    assert np.isnan(early[0]) and early[1] == 0.01
    assert head == [0.1, 0.1]
    assert axes.get_yscale() == "log"
