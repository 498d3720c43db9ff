"""The arithmetic of the range test, on curves made by hand."""

import numpy as np
import pytest

from polytag.errors import UserError
from polytag.schedule import lr_suggestions

RATES = 10.0 ** np.arange(-10, 30)  # the rate at index i is 1e(i - 10)


def curve(*losses):
    return RATES[: len(losses)], np.array(losses, dtype=float)


def test_rates_rise_by_the_same_factor_and_include_both_ends():
    assert lr_suggestions.rising_rates(1e-3, 1, 4) == pytest.approx([1e-3, 1e-2, 1e-1, 1])


@pytest.mark.parametrize(("start", "end"), [(0, 1), (1, 1), (2, 1), (-1, 1), (1e-7, float("inf")), ("a", 1)])
def test_an_empty_range_is_refused(start, end):
    with pytest.raises(UserError, match=f"start_lr={start} up to end_lr={end}"):
        lr_suggestions.rising_rates(start, end, 10)


def test_the_smoothed_loss_is_a_weighted_mean_of_the_losses_so_far():
    losses = [1.0, 2.0, 0.5, 4.0]
    expected = [
        np.average(losses[:count], weights=[0.98**age for age in range(count)][::-1])
        for count in range(1, len(losses) + 1)
    ]
    assert lr_suggestions.smooth(losses) == pytest.approx(expected)
    assert lr_suggestions.smooth([1.0, 2.0])[1] == pytest.approx(1.50505, abs=1e-5)


@pytest.mark.parametrize(("smoothed", "exploded"), [([1, 0.5, 2.0], False), ([1, 0.5, 2.01], True), ([9.0], False)])
def test_a_loss_of_more_than_four_times_the_best_has_exploded(smoothed, exploded):
    assert lr_suggestions.has_exploded(np.array(smoothed)) is exploded


def test_valley_lies_in_the_middle_of_the_longest_fall():
    # The longest fall has 7 points, indexes 3 to 9: it counts from 2, and half of 7 is 2 + 1 thirds and half thirds.
    assert lr_suggestions.valley(*curve(5, 5, 5, 5, 4, 3, 2, 1, 0.5, 0.2, 6, 7, 8, 9, 9)) == RATES[5]


def test_valley_forgives_bumps():
    # The fall 5 4 3 2 1 goes on over the bumps: 5 points that end at index 8 count from index 3.
    assert lr_suggestions.valley(*curve(5, 5, 4, 4.5, 3, 3.5, 2, 2.5, 1, 7, 8)) == RATES[3 + 1]


def test_valley_without_a_fall_is_the_first_rate():
    assert lr_suggestions.valley(*curve(1, 1, 2, 3, 4)) == RATES[0]
    assert lr_suggestions.valley(*curve(2, 1, 3, 4, 5)) == RATES[0]


def test_slide_stops_where_the_slope_becomes_steady():
    # Flat up to index 20, then 0.02 (i - 20)^2: with the right end at 20 the slope still changes, and the left is at 5.
    losses = [0.02 * max(i - 20, 0) ** 2 for i in range(40)]
    assert lr_suggestions.slide(*curve(*losses)) == RATES[5]


def test_slide_of_a_straight_line_stays_at_the_first_place_of_the_interval():
    assert lr_suggestions.slide(*curve(*np.linspace(3, 1, 40))) == RATES[39 - 15]


def test_slide_of_a_slope_that_never_settles_is_the_first_rate():
    assert lr_suggestions.slide(*curve(*[0.01 * i**2 for i in range(40)])) == RATES[0]
    assert lr_suggestions.slide(*curve(*[0.01 * i**2 for i in range(12)])) == RATES[0]


def test_minimum_is_a_tenth_of_where_the_loss_is_lowest():
    assert lr_suggestions.minimum(*curve(3, 2, 1, 0.5, 4)) == pytest.approx(1e-8)


def test_steep_is_the_point_before_the_largest_fall():
    assert lr_suggestions.steep(*curve(5, 4.9, 4.7, 3.7, 3.5, 4.4, 9)) == RATES[2]


def test_steep_counts_the_fall_by_decades():
    rates = np.array([1e-4, 1e-3, 1e-1, 1.0])
    assert lr_suggestions.steep(rates, np.array([1.0, 0.7, 0.3, 0.2])) == 1e-4


def test_rules_see_neither_the_first_tenth_nor_the_last_five():
    rates = lr_suggestions.rising_rates(1e-7, 10, 100)
    losses = np.full(100, 2.0)
    losses[5] = 0.0  # in the first tenth
    losses[60] = 1.0
    losses[97] = -5.0  # in the last five
    suggestions = lr_suggestions.suggest_rates(rates, losses, 100)
    assert list(suggestions) == ["valley", "slide", "minimum", "steep"]
    assert suggestions["minimum"] == pytest.approx(rates[60] / 10)
    assert suggestions["steep"] == rates[59]


@pytest.mark.parametrize(
    ("points", "steps", "expected"), [(100, 100, (10, 95)), (60, 100, (10, 55)), (16, 16, (1, 11)), (25, 100, (10, 20))]
)
def test_the_judged_part_of_a_test_that_ended_early(points, steps, expected):
    part = lr_suggestions.judged_part(points, steps)
    assert (part.start, part.stop) == expected


@pytest.mark.parametrize(("points", "steps"), [(15, 15), (24, 100), (1, 100), (0, 0)])
def test_too_few_points_are_refused(points, steps):
    with pytest.raises(UserError, match=f"has {points} points .* steps={steps} .* Raise steps, or lower start_lr"):
        lr_suggestions.judged_part(points, steps)


def test_an_unknown_rule_is_refused():
    lr_suggestions.check_rule("steep")
    with pytest.raises(UserError, match=r"suggestion='valey' is none of valley, .* Did you mean 'valley'\?"):
        lr_suggestions.check_rule("valey")
