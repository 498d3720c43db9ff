"""What is left of a training: exact where an epoch of its kind was timed, else a lower bound."""

import pytest

from polytag.schedule.curves import Constant, OneCycle
from polytag.schedule.recipe import Phase, Recipe
from polytag.schedule.time_left import TimeLeft, training_left

FROZEN = ("early", "late")
SMALL_FROZEN, SMALL = Phase(64, 2, 0.1, OneCycle(), FROZEN), Phase(64, 3, 0.1, OneCycle())
LARGE_FROZEN, LARGE = Phase(96, 2, 0.1, OneCycle(), FROZEN), Phase(96, 3, 0.1, OneCycle())
RECIPE = Recipe((SMALL_FROZEN, SMALL, LARGE_FROZEN, LARGE))  # epochs 0-1, 2-4, 5-6, 7-9


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03")]
)
def test_time_is_written_as_a_clock_has_it(seconds, text):
    assert str(TimeLeft(seconds)) == text


def test_a_bound_is_marked_and_one_of_nothing_says_nothing():
    assert str(TimeLeft(7, is_bound=True)) == ">0:07"
    assert str(TimeLeft(0, is_bound=True)) == "?"


def test_in_the_last_phase_the_epochs_left_are_those_timed():
    assert training_left(RECIPE, 8, TimeLeft(4), {LARGE.work: 10}) == (14, False)
    assert training_left(RECIPE, 9, TimeLeft(4), {LARGE.work: 10}) == (4, False)


def test_a_phase_that_is_new_takes_at_least_what_a_cheaper_one_took():
    # one more frozen epoch of 5, then 3 + 2 + 3 epochs of 5 or more
    assert training_left(RECIPE, 0, TimeLeft(1), {SMALL_FROZEN.work: 5}) == (1 + 5 + 8 * 5, True)
    # at 96 pixels, frozen ones take 5 or more, and the others 20 or more
    seen = {SMALL_FROZEN.work: 5, SMALL.work: 20}
    assert training_left(RECIPE, 4, TimeLeft(1), seen) == (1 + 2 * 5 + 3 * 20, True)
    assert training_left(RECIPE, 4, TimeLeft(1), seen | {LARGE_FROZEN.work: 8, LARGE.work: 30}) == (107, False)


def test_nothing_is_taken_for_cheaper_that_may_not_be():
    assert training_left(Recipe((LARGE, SMALL)), 2, TimeLeft(1), {LARGE.work: 9}) == (1, True)
    for other in (
        Phase(96, 1, 0.1, Constant(), FROZEN, precompute=True),
        Phase(96, 1, 0.1, Constant(), batch_size=256),
        Phase(96, 1, 0.1, Constant(), transforms="others"),
    ):
        recipe = Recipe((SMALL_FROZEN, other))
        assert training_left(recipe, 1, TimeLeft(1), {SMALL_FROZEN.work: 9}) == (1, True)


def test_the_rates_of_a_phase_cost_no_time():
    assert Phase(64, 7, 0.5, Constant(), group_lr_div=(9, 3, 1)).work == SMALL.work
    assert SMALL.work != SMALL_FROZEN.work != LARGE_FROZEN.work
