"""Values survive their way through the text of an override."""

import math
from random import Random

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from polytag.errors import UserError
from polytag.sweep.override_text import override_text, parse_override


def read_back(value):
    return OverridesParser.create().parse_override(f"a.b={override_text(value)}").value()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (-2, "-2"),
        (1e-05, "1e-05"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        ("resnet18", "resnet18"),
        ("data/x-1.csv", "data/x-1.csv"),
        ("1", "'1'"),
        ("1e-3", "'1e-3'"),
        ("true", "'true'"),
        ("Null", "'Null'"),
        ("nan", "'nan'"),
        ("", "''"),
        ("two words", "'two words'"),
        ("a,b", "'a,b'"),
        ("it's", r"'it\'s'"),
        ("${seed}", "'${seed}'"),
        ([1, 2.5, "x y", None, [True]], "[1,2.5,'x y',null,[true]]"),
        ({"a": 1, "b": {"c": "d=e"}}, "{a:1,b:{c:'d=e'}}"),
        ({"a b": "1", 2: []}, r"{a\ b:'1',2:[]}"),
    ],
)
def test_text_is_read_back_as_the_same_value(value, text):
    assert override_text(value) == text
    assert read_back(value) == value
    assert type(read_back(value)) is type(value)


def test_odd_strings_are_read_back():
    random = Random(0)
    for _ in range(400):
        value = "".join(random.choices("ab1.-_+ ,=:()[]{}'\"\\/$#&%ü\t", k=random.randint(0, 8)))
        assert read_back(value) == value, repr(value)


def test_all_digits_of_a_float_survive():
    random = Random(1)
    numbers = [random.uniform(-1, 1) * 10 ** random.randint(-12, 12) for _ in range(200)]
    assert [read_back(number) for number in numbers] == numbers
    assert math.isinf(read_back(-math.inf))


def test_what_hydra_cannot_read_names_the_key():
    with pytest.raises(UserError, match=r"^lr: .*intervall"):
        parse_override("lr=intervall(0,1)")
    with pytest.raises(UserError, match=r"^lr: "):
        parse_override("lr=interval(0,")
