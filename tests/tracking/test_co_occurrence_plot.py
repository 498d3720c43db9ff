import numpy as np

from polytag.tracking.co_occurrence_plot import MAX_LABELS, plot_co_occurrence


def draw(counts, classes):
    figure = plot_co_occurrence(np.array(counts), classes, "missed", "wrongly given", "Images")
    (axes,) = figure.axes
    return axes


def test_each_count_but_0_stands_in_its_cell():
    axes = draw([[0, 3], [12, 0]], ("a", r"$\bad"))

    assert {(*map(int, text.get_position()), text.get_text()) for text in axes.texts} == {(1, 0, "3"), (0, 1, "12")}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", r"$\bad"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("missed", "wrongly given")
    assert axes.get_title(loc="left") == "Images"


def test_of_very_many_labels_those_with_the_largest_sums_are_shown():
    counts = np.zeros((80, 80), int)
    counts[70, 3] = 5
    axes = draw(counts, [str(i) for i in range(80)])

    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert len(rows) == MAX_LABELS
    assert rows == [*(str(i) for i in range(MAX_LABELS - 1)), "70"]
    assert axes.get_title(loc="left") == f"Images, {MAX_LABELS} of 80 labels a side"
