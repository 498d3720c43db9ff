"""Pictures of label matrices: their numbers, and that any matrix can be drawn."""

import math

import numpy as np
import pytest

from polytag.tracking.label_plots import cooccurrence_shares, draw_cooccurrence, draw_counts

TARGETS = np.array([[1, 1, 0], [1, 0, 0], [1, -1, 0], [0, 1, -1]], np.int8)
CLASSES = ("cat", "dog", "owl")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_shares_are_of_the_images_with_the_label_of_the_row():
    shares = cooccurrence_shares(TARGETS)
    np.testing.assert_allclose(shares, [[1, 1 / 2, 0], [1 / 2, 1, 0], [math.nan] * 3])


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
