"""The benchmarks' own machinery: two processes take turns, and every script can be asked what it does."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if not path.name.startswith("side"))
COUNTER = """
import itertools, sys
sys.path.insert(0, {folder!r})
from sides import serve
numbers = itertools.count({first})
print("some other output")
serve(lambda: next(numbers))
"""


@pytest.fixture(scope="module")
def sides():
    spec = importlib.util.spec_from_file_location("sides", FOLDER / "sides.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def side(first):
    return [sys.executable, "-c", COUNTER.format(folder=str(FOLDER), first=first)]


def test_sides_take_turns_and_the_first_rounds_do_not_count(sides):
    assert sides.compare({"a": side(10), "b": side(20)}, rounds=3, warm_up=2) == {
        "a": [12.0, 13.0, 14.0],
        "b": [22.0, 23.0, 24.0],
    }


def test_the_ratio_is_that_of_each_round(sides):
    assert (
        sides.ratio([10, 20, 90], [10, 10, 30]) == 2
    )  # and not the ratio of the medians, which would be 2 as well ...
    assert sides.ratio([10, 20, 90], [1, 100, 30]) == 3  # ... here it would be 20 / 30


def test_a_side_that_ends_is_an_error(sides):
    with pytest.raises(SystemExit, match="a ended with exit code 3"):
        sides.compare({"a": [sys.executable, "-c", "raise SystemExit(3)"]}, rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_says_what_it_measures(script):
    done = subprocess.run([sys.executable, str(FOLDER / script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 or script == "peers.py", done.stderr
