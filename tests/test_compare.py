"""`compare`: two runs on the same images."""

import json
import shutil

import pytest


@pytest.fixture
def better(finished_run, tmp_path):
    """Return a copy of the run whose stored predictions are the truth."""
    run = tmp_path / "better"
    shutil.copytree(finished_run, run)
    file = run / "predictions/val.csv"
    header, *lines = file.read_text().splitlines()
    count = (header.count(",")) // 2
    rows = [line.split(",") for line in lines]
    # In another order: rows are found by their names.
    rows = [
        [row[0], *(str(0.1 + 0.8 * int(flag)) for flag in row[1 + count :]), *row[1 + count :]] for row in rows[::-1]
    ]
    file.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return run


def test_a_better_run_is_found(call, finished_run, better, tmp_path):
    out = tmp_path / "compared.json"
    done = call("compare", f"runs=[{better},{finished_run}]", f"out={out}", "bootstrap=200")
    assert done.code == 0, done.err
    assert f"A = {better}" in done.out.replace("\n", "")
    [pair] = json.loads(out.read_text())["pairs"]
    scores = json.loads((finished_run / "summary.json").read_text())["val"]
    found = pair["differences"]["accuracy"]
    assert (found["a"], found["b"]) == (1, pytest.approx(scores["val/accuracy"]))
    assert 0 <= found["low"] <= found["a"] - found["b"] <= found["high"] and found["a_is_better"] > 0.9
    assert pair["images"] == 5


def test_other_policies_are_pointed_out(call, finished_run, better):
    config = better / "config.yaml"
    other = config.read_text().replace("threshold: 0.5", "threshold: 0.4")
    assert other != config.read_text()
    assert "policies differ" not in call("compare", f"runs=[{better},{finished_run}]", "bootstrap=20").out
    config.write_text(other)
    done = call("compare", f"runs=[{better},{finished_run}]", "bootstrap=20")
    assert "The policies differ (A has fixed threshold=0.4, B fixed threshold=0.5)" in done.out


def test_of_some_scores_less_is_better(call, finished_run, better, tmp_path):
    out = tmp_path / "compared.json"
    assert call("compare", f"runs=[{better},{finished_run}]", f"out={out}", "metrics=all").code == 0
    [pair] = json.loads(out.read_text())["pairs"]
    assert pair["differences"]["hamming_loss"]["a"] == 0 < pair["differences"]["hamming_loss"]["b"]
    assert pair["differences"]["hamming_loss"]["a_is_better"] > 0.9


def test_a_run_is_no_better_than_itself(call, finished_run, tmp_path):
    out = tmp_path / "same.json"
    runs = f"runs=[{finished_run},{finished_run},{finished_run}]"
    assert call("compare", runs, f"out={out}", "bootstrap=20", "metrics=all").code == 0
    pairs = json.loads(out.read_text())["pairs"]
    assert len(pairs) == 2
    numbers = pairs[0]["differences"]["exact_match"]
    assert (numbers["low"], numbers["high"], numbers["a_is_better"]) == (0, 0, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("apple", "lion"), "have different classes"),
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "of which 4 are the same"),
        (lambda text: text.replace(",0,0", ",1,1").replace(",1,0", ",0,1"), "different labels for the same images"),
    ],
)
def test_only_equal_images_are_compared(call, finished_run, tmp_path, change, message):
    other = tmp_path / "other"
    shutil.copytree(finished_run, other)
    file = other / "predictions/val.csv"
    file.write_text(change(file.read_text()))
    done = call("compare", f"runs=[{finished_run},{other}]")
    assert done.code == 2 and message in done.err, done.err + done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "There are no runs below logs."),
        (("runs=[]",), "Which runs?"),
        (("runs=[one]",), "There is no run folder one"),
        (("runs=one",), "There is no run folder one"),
        (("runs=[one,two]",), "There is no run folder one"),
        (("runs=[RUN]", "metric=val/mop"), "No run has a score 'val/mop'. Did you mean 'val/map'?"),
        (("runs=[RUN,RUN]", "split=test"), "There are no stored predictions"),
        (("runs=[RUN,RUN]", "bootstrap=0"), "bootstrap=0 has to be a number of resamples, 20 or more"),
    ],
)
def test_mistakes_are_one_line(call, finished_run, arguments, message):
    done = call("compare", *(argument.replace("RUN", str(finished_run)) for argument in arguments))
    assert done.code == 2 and message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_all_runs_below_logs_are_on_one_page(call, finished_run, better, tmp_path):
    shutil.copytree(finished_run, tmp_path / "logs/train/day/plain")
    shutil.copytree(better, tmp_path / "logs/sweep/wide/0")
    shutil.copytree(finished_run, tmp_path / "logs/debug/day/left_out")
    lost = tmp_path / "logs/train/day/lost"
    shutil.copytree(finished_run, lost)
    (lost / "config.yaml").unlink()
    cut = tmp_path / "logs/train/day/cut"
    shutil.copytree(finished_run, cut)
    (cut / "summary.json").write_text((cut / "summary.json").read_text()[:50])
    done = call("compare", "bootstrap=20", "out=pages/all.json")
    assert done.code == 0, done.err
    assert "2 finished runs below logs at their best epochs, by val/map" in done.out
    assert "train/day/lost: config.yaml is missing" in done.out
    assert "train/day/cut: logs/train/day/cut/summary.json is damaged" in done.out
    assert "left_out" not in done.out
    page, numbers = ((tmp_path / "pages" / name).read_text() for name in ("all.html", "all.json"))
    assert [run["run"] for run in json.loads(numbers)["runs"][2:]] == ["logs/train/day/cut", "logs/train/day/lost"]
    assert '"data:image/jpeg;base64,' in page  # an image that the better one has right alone
    assert "../logs/train/day/plain/report.html" in page


def test_a_page_is_replaced_only_if_asked(call, finished_run):
    assert call("compare", f"runs={finished_run}", "out=c.html").code == 0
    done = call("compare", f"runs={finished_run}", "out=c.html")
    assert done.code == 2 and "c.html exists already" in done.err
    assert call("compare", f"runs={finished_run}", "out=c.html", "overwrite=true").code == 0


@pytest.mark.parametrize(
    ("lost", "remark", "reason"),
    [
        ("predictions/val.csv", "predictions/val.csv is missing", "There are no stored predictions"),
        ("summary.json", "Not in the leaderboard (1):", "not finished after 4 epochs"),
    ],
)
@pytest.mark.parametrize("good", [1, 2])
def test_a_named_run_that_cannot_be_compared_is_an_error_after_the_page(
    call, finished_run, tmp_path, lost, remark, reason, good
):
    other = tmp_path / "other"
    shutil.copytree(finished_run, other)
    (other / lost).unlink()
    named = ",".join([str(finished_run)] * good)
    done = call("compare", f"runs=[{named},{other}]", "out=c.json", "bootstrap=20")
    assert done.code == 2
    assert remark in done.out
    assert f"{other} was named and could not be compared: " in done.err and reason in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert (tmp_path / "c.html").is_file()
    assert len(json.loads((tmp_path / "c.json").read_text())["pairs"]) == good - 1


def test_a_run_that_is_not_named_may_lack_predictions(call, finished_run, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(finished_run, tmp_path / "logs" / name)
    (tmp_path / "logs/b/predictions/val.csv").unlink()
    assert call("compare", "runs=logs", "bootstrap=20").code == 0


def test_patterns_and_lists_on_the_command_line(call, finished_run, tmp_path):
    for name in ("a", "b", "c"):
        shutil.copytree(finished_run, tmp_path / "logs" / name)
    for runs in ("runs='logs/[ac]'", 'runs="logs/[ac]"', "runs=['logs/[ac]']"):
        done = call("compare", runs, "bootstrap=20")
        assert done.code == 0 and "2 finished runs below logs" in done.out, done.err
    done = call("compare", "runs=logs/a,logs/b")
    assert done.code == 2
    assert "A list would be runs=[logs/a,logs/b]." in done.err
    assert "multirun" not in done.err
