"""Pictures of label matrices: their numbers, and that any matrix can be drawn."""

import numpy as np
import pytest

from polytag.tracking.label_plots import MAX_PAIRED, draw_cooccurrence, draw_counts, draw_pairs

TARGETS = np.array([[1, 1, 0], [1, 0, 0], [1, -1, 0], [0, 1, -1]], np.int8)
CLASSES = ("cat", "dog", "owl")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_counts_are_sorted_with_shares_of_what_is_known():
    axes = draw_counts(TARGETS, CLASSES).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [3, 2, 0]
    assert [bar.get_y() for bar in axes.patches] == sorted((bar.get_y() for bar in axes.patches), reverse=True)
    assert texts(axes) == ["3  (75%)", "2  (67%)  1 unknown", "0  (0%)  1 unknown"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "owl"]


def test_few_classes_have_their_numbers_and_the_most_frequent_first():
    targets = np.repeat(np.array([[0, 1], [1, 1], [1, 1]], np.int8), [197, 1, 1], axis=0)
    axes = draw_cooccurrence(targets, ("rare", "common")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["common", "rare"]
    assert texts(axes) == ["199", "1%", "100%", "2"]


@pytest.mark.parametrize("classes", [1, 5, 80, 130])
@pytest.mark.parametrize("draw", [draw_counts, draw_cooccurrence])
def test_any_number_of_classes_fits_its_figure(draw, classes):
    targets = (np.random.default_rng(0).random((50, classes)) < 0.2).astype(np.int8)
    figure = draw(targets, [f"a rather long name $\\frac {i}" for i in range(classes)])
    figure.draw_without_rendering()
    axes, box = figure.axes[0], figure.bbox
    for label in (*axes.get_yticklabels(), *(axes.get_xticklabels() if draw is draw_cooccurrence else ())):
        extent = label.get_window_extent()
        assert extent.x0 >= box.x0 and extent.y0 >= box.y0 and extent.y1 <= box.y1
    heading = axes.get_title(loc="left") or figure.get_suptitle()
    assert ("the 100 most frequent of 130" in heading) == (classes == 130)


def test_no_image_and_no_label_are_drawn_too():
    assert texts(draw_counts(np.zeros((0, 2), np.int8), ("a", "b")).axes[0]) == ["0", "0"]
    draw_cooccurrence(np.zeros((3, 2), np.int8), ("a", "b")).draw_without_rendering()


def pairs_axes(counts, classes):
    figure = draw_pairs(np.array(counts), classes, "missed", "wrongly given", "Images")
    (axes,) = figure.axes
    return axes


def test_each_count_but_0_stands_in_its_cell():
    axes = pairs_axes([[0, 3], [12, 0]], ("a", r"$\bad"))

    assert {(*map(int, text.get_position()), text.get_text()) for text in axes.texts} == {(1, 0, "3"), (0, 1, "12")}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", r"$\bad"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("missed", "wrongly given")
    assert axes.get_title(loc="left") == "Images"


def test_of_very_many_labels_those_with_the_largest_sums_are_shown():
    counts = np.zeros((80, 80), int)
    counts[70, 3] = 5
    axes = pairs_axes(counts, [str(i) for i in range(80)])

    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert len(rows) == MAX_PAIRED
    assert rows == [*(str(i) for i in range(MAX_PAIRED - 1)), "70"]
    assert axes.get_title(loc="left") == f"Images, {MAX_PAIRED} of 80 labels a side"
