import numpy as np

from polytag.metrics.curves import ALL, Curve
from polytag.tracking.curves_plot import MAX_PANELS, plot_precision_recall, plot_threshold_curves

FALLING = np.array([0.9, 0.5, 0.1])
CURVE = Curve("a", 0.25, FALLING, np.array([1.0, 0.5, 0.25]), np.array([0.25, 0.5, 1.0]))


def named(count):
    others = (Curve(rf"$\bad {i}", 0.1, FALLING, CURVE.precision, CURVE.recall) for i in range(count - 1))
    return [Curve(ALL, 0.1, FALLING, CURVE.precision, CURVE.recall), *others]


def shown(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_precision_is_that_of_the_threshold_at_the_right_end_of_its_step():
    (axes,) = shown(plot_precision_recall([CURVE], {"a": (0.5, 0.5)}))

    line, guess, given = axes.lines
    assert line.get_xdata().tolist() == [0, 0.25, 0.5, 1]
    assert line.get_ydata().tolist() == [1, 1, 0.5, 0.25]
    assert line.get_drawstyle() == "steps-pre"  # as average precision sums it up
    assert set(guess.get_ydata()) == {0.25}
    assert (list(given.get_xdata()), list(given.get_ydata())) == ([0.5], [0.5])


def test_thresholds_are_marked_where_the_policy_has_one():
    with_one, without, never = (
        shown(plot_threshold_curves([CURVE], marks))[0] for marks in ({"a": 0.4}, {}, {"a": None})
    )

    assert [line.get_label() for line in with_one.lines] == ["precision", "recall", "F2", "the policy's"]
    assert set(with_one.lines[-1].get_xdata()) == {0.4}
    assert len(without.lines) == len(never.lines) == 3


def test_of_very_many_classes_the_first_are_shown_and_the_picture_says_so(tmp_path):
    for figure in (plot_precision_recall(named(80), {}), plot_threshold_curves(named(80), {})):
        assert len(shown(figure)) == MAX_PANELS
        assert figure.get_suptitle() == "The 23 classes with the lowest average precision, of 79"
        figure.savefig(tmp_path / "curves.png")  # broken formulas in names are no formulas
