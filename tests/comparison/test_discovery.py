"""Which folders are runs, and which of them somebody means."""

import pytest

from polytag.comparison.discovery import find_runs
from polytag.errors import UserError


@pytest.fixture
def logs(tmp_path):
    """Return a folder of logs: two trainings, a sweep, a debug run, a page, and what is left of others."""
    logs = tmp_path / "logs"
    for name in ("train/day/12-00", "train/day/13-00", "debug/day/1", *(f"sweep/wide/{job}" for job in (0, 1, 2, 10))):
        (logs / name).mkdir(parents=True)
        (logs / name / "config.yaml").touch()
    inside = logs / "train/day/12-00/evaluation/now"
    inside.mkdir(parents=True)
    (inside / "summary.json").touch()
    (logs / "train/day/empty").mkdir()
    (logs / "sweep/wide/.hidden").mkdir()
    (logs / "sweep/wide/.hidden/config.yaml").touch()
    lost = logs / "train/day/14-00"
    lost.mkdir()
    (lost / "metrics.csv").touch()
    (logs / "compare/day/now").mkdir(parents=True)
    (logs / "compare/day/now/train.log").touch()
    return logs


def names(found, logs):
    return [path.relative_to(logs).as_posix() for path in found.paths]


SWEEP = ["sweep/wide/0", "sweep/wide/1", "sweep/wide/2", "sweep/wide/10"]
TRAIN = ["train/day/12-00", "train/day/13-00", "train/day/14-00"]


def test_all_runs_are_those_of_trainings_and_sweeps_whole_or_not(logs):
    found = find_runs(None, logs)
    assert names(found, logs) == SWEEP + TRAIN
    assert not found.are_named


@pytest.mark.parametrize(
    ("asked", "expected", "are_named"),
    [
        ("wide", SWEEP, False),
        (["LOGS/sweep/wide"], SWEEP, False),
        ("LOGS/sweep/w*/1*", ["sweep/wide/1", "sweep/wide/10"], False),
        (["LOGS/train/*"], TRAIN, False),
        (["LOGS/**/13-00"], ["train/day/13-00"], False),
        ("LOGS/debug", ["debug/day/1"], False),
        (["LOGS/train/day/13-00"], ["train/day/13-00"], False),
        (["LOGS/train/day/13-00", "LOGS/sweep/wide/1"], ["train/day/13-00", "sweep/wide/1"], True),
        (["LOGS/train/day/13-00", "wide"], ["train/day/13-00", *SWEEP], False),
    ],
)
def test_runs_are_named_in_several_ways(logs, asked, expected, are_named):
    items = [item.replace("LOGS", str(logs)) for item in ([asked] if isinstance(asked, str) else asked)]
    found = find_runs(items[0] if isinstance(asked, str) else items, logs)
    assert names(found, logs) == expected
    assert found.are_named == are_named


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nothing", "There is no run folder nothing, and no sweep of that name"),
        (["LOGS/train/day/empty"], "is no run folder, and there is none below it"),
        (["LOGS/trian/*"], "No run folder matches"),
        ([], "Which runs"),
    ],
)
def test_what_is_not_there_is_a_mistake(logs, asked, message):
    asked = [item.replace("LOGS", str(logs)) for item in asked] if isinstance(asked, list) else asked
    with pytest.raises(UserError, match=message):
        find_runs(asked, logs)


def test_without_any_run_there_is_nothing_to_compare(tmp_path):
    with pytest.raises(UserError, match="There are no runs below"):
        find_runs(None, tmp_path)
