"""Names of exclusive classes to columns, and each mistake in them."""

import pytest

from polytag.data.exclusive_groups import group_columns
from polytag.errors import UserError

CLASSES = ("primary", "clear", "haze", "1", "2")


def test_names_become_columns_in_the_order_of_the_group():
    assert group_columns([["haze", "clear"], [1, 2]], CLASSES, "policy") == ((2, 1), (3, 4))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], r"data\.exclusive_groups is empty.*\[\[primary,clear\]\]"),
        ([["clear", "hase"]], "'hase', which is no class. Did you mean 'haze'"),
        ([["clear", "haze"], ["primary", "clear"]], "'clear' twice"),
        ([["clear", "clear"]], "'clear' twice"),
        ([["clear"]], r"\['clear'\].*two classes or more"),
        ([["clear", "haze"], []], r"\[\].*two classes or more"),
        (["clear", "haze"], r"the group 'clear'.*\[\[a, b\], \[c, d\]\]"),
    ],
)
def test_mistakes_are_named(groups, message):
    with pytest.raises(UserError, match=message):
        group_columns(groups, CLASSES, "policy")
