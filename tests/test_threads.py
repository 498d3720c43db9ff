"""Waiting threads: a default for few cores, which a user's own value comes before."""

import os

import pytest

from polytag.threads import wait_politely


@pytest.mark.parametrize(("cores", "own", "expected"), [(2, None, "1000"), (2, "7", "7"), (64, None, None)])
def test_few_cores_are_given_away_soon(monkeypatch, cores, own, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if own:
        monkeypatch.setenv("GOMP_SPINCOUNT", own)
    wait_politely()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
