"""`evaluate`: a run's checkpoint on its own data and on others."""

import csv
import json
import shutil

import pytest
from conftest import TINY
from fake.csv import make_csv, write_csv
from omegaconf import OmegaConf


def newest(run):
    return sorted((run / "evaluation").iterdir())[-1]


def test_the_runs_own_data_gives_the_runs_own_scores(call, finished_run, tmp_path):
    done = call("evaluate", f"run={finished_run}", f"out={tmp_path / 'out'}", "device=cpu")
    assert done.code == 0, done.err
    summary = json.loads((finished_run / "summary.json").read_text())
    scores = json.loads((tmp_path / "out/summary.json").read_text())["scores"]
    assert {f"val/{name}": value for name, value in scores.items()} == pytest.approx(summary["val"])
    assert (tmp_path / "out/predictions.csv").read_text() == (finished_run / "predictions/val.csv").read_text()


def test_no_other_file_of_the_run_changes(call, finished_run):
    def state():
        return {f: f.stat().st_mtime_ns for f in finished_run.rglob("*") if f.is_file() and "evaluation" not in f.parts}

    before = state()
    assert call("evaluate", f"run={finished_run}").code == 0
    assert state() == before
    assert (newest(finished_run) / "summary.json").is_file()


def test_checkpoints_splits_and_policy_can_be_chosen(call, finished_run, tmp_path):
    def scores(*arguments):
        done = call("evaluate", f"run={finished_run}", f"out={tmp_path / 'o'}", "overwrite=true", *arguments)
        assert done.code == 0, done.err
        return json.loads((tmp_path / "o/summary.json").read_text())

    assert scores("split=train")["images"] == 19
    assert scores("split=all")["images"] == 24
    assert scores("checkpoint=phase_0")["image_size"] == 32
    everything = scores("policy=fixed", "policy.threshold=0.0")
    assert everything["policy"]["threshold"] == 0.0
    assert everything["scores"]["accuracy_policy"] < 0.9  # every label is chosen now


def test_other_data_with_some_of_the_classes(call, finished_run, tmp_path):
    root = tmp_path / "other"
    make_csv(root, rows=8, seed=5)
    done = call("evaluate", f"run={finished_run}", "data=csv", f"data.root={root}", f"out={tmp_path / 'o'}")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "o/summary.json").read_text())["images"] == 8


def test_the_same_data_in_another_place(call, finished_run, csv_data, tmp_path):
    shutil.copytree(csv_data, tmp_path / "moved")
    done = call(
        "evaluate", f"run={finished_run}", f"data.root={tmp_path / 'moved'}", "split=val", f"out={tmp_path / 'o'}"
    )
    assert done.code == 0, done.err
    assert (tmp_path / "o/predictions.csv").read_text() == (finished_run / "predictions/val.csv").read_text()


def test_a_class_that_the_run_does_not_know_is_refused(call, finished_run, csv_data, tmp_path):
    root = tmp_path / "other"
    shutil.copytree(csv_data, root)
    with open(root / "labels.csv", newline="") as file:
        lines = list(csv.reader(file))
    write_csv(root, [",".join(lines[0]), *(f"{line[0]},unicorn" for line in lines[1:])])
    done = call("evaluate", f"run={finished_run}", "data=csv", f"data.root={root}")
    assert done.code == 2
    assert "does not know: unicorn" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Which run?"),
        (("run=not_there",), "There is no run folder not_there"),
        (("run=.",), "is no run folder: it has no config.yaml"),
        (("run=RUN", "checkpoint=phase_9"), "has no checkpoint 'phase_9'. It has best, last, phase_0_32"),
        (("run=RUN", "split=vall"), "split=vall is none of train, val, test, all"),
        (("run=RUN", "split=test"), "no rows in split=test"),
        (("run=RUN", "device=cuda"), "device=cuda is not to be had here"),
        (("run=RUN,RUN",), "one run at a time"),
    ],
)
def test_mistakes_are_one_line(call, finished_run, arguments, message):
    done = call("evaluate", *(argument.replace("RUN", str(finished_run)) for argument in arguments))
    assert done.code == 2, done.out
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_damaged_checkpoint_is_named(call, finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    best = run / "checkpoints/best.ckpt"
    best.write_bytes(best.read_bytes()[:5000])
    done = call("evaluate", f"run={run}")
    assert done.code == 2
    assert "best.ckpt cannot be read" in done.err
    assert call("evaluate", f"run={run}", "checkpoint=last").code == 0


def test_a_checkpoint_of_other_classes_is_refused(call, finished_run, tmp_path):
    import torch

    content = torch.load(finished_run / "checkpoints/best.ckpt", weights_only=True)
    content["polytag"]["classes"] = [f"x{i}" for i in range(len(content["polytag"]["classes"]))]
    torch.save(content, tmp_path / "other.ckpt")
    done = call("evaluate", f"run={finished_run}", f"checkpoint={tmp_path / 'other.ckpt'}")
    assert done.code == 2
    assert "of other classes" in done.err


def test_results_are_not_overwritten_unless_told_to(call, finished_run, tmp_path):
    arguments = ("evaluate", f"run={finished_run}", f"out={tmp_path / 'out'}")
    assert call(*arguments).code == 0
    again = call(*arguments)
    assert again.code == 2
    assert "overwrite=true" in again.err
    assert call(*arguments, "overwrite=true").code == 0


def test_a_run_with_tta_is_scored_with_and_without(call, finished_run, csv_data, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out/summary.json"
    recipe = ("recipe=one_stage", "recipe.image_size=32", "recipe.epochs=1")
    own = ("data=csv", f"data.root={csv_data}", "data.test_fraction=0.2", f"hydra.run.dir={run}", "tta=dihedral")
    done = call("train", *TINY, "report=true", *recipe, *own)
    assert done.code == 0, done.err
    assert "with" in done.out and "TTA" in done.out
    summary = json.loads((run / "summary.json").read_text())
    assert list(summary["val_tta"]) == [name.replace("val/", "val_tta/") for name in summary["val"]]
    assert list(summary["test_tta"]) == [name.replace("test/", "test_tta/") for name in summary["test"]]
    assert set(summary["baselines"]) == {"val", "test"}
    assert "with TTA" in (run / "report.html").read_text()
    assert "val_tta" not in json.loads((finished_run / "summary.json").read_text())

    def scores(split, *arguments):
        done = call("evaluate", f"run={run}", f"out={out.parent}", "overwrite=true", f"split={split}", *arguments)
        assert done.code == 0, done.err
        content = json.loads(out.read_text())
        return {f"{split}/{name}": value for name, value in content["scores"].items()}, content["tta"]

    own_way, named = scores("val")
    assert (out.parent / "predictions.csv").read_text() != (run / "predictions/val.csv").read_text()
    assert own_way == pytest.approx({n.replace("_tta", ""): value for n, value in summary["val_tta"].items()})
    assert named == {"_target_": "polytag.inference.tta.Dihedral", "mirror": True}
    assert scores("test")[0] == pytest.approx({n.replace("_tta", ""): v for n, v in summary["test_tta"].items()})
    assert scores("val", "tta=none")[0] == pytest.approx(summary["val"])
    assert (out.parent / "predictions.csv").read_text() == (run / "predictions/val.csv").read_text()
    assert scores("val", "tta=random", "tta.views=2")[0] == pytest.approx(summary["val"])  # of transforms=none


def test_tta_that_does_not_suit_the_data_ends_a_training_before_it_starts(call, csv_data, tmp_path):
    arguments = ("data=csv", f"data.root={csv_data}", "data.mirror=false", f"hydra.run.dir={tmp_path / 'run'}")
    done = call("train", *TINY, *arguments, "tta=flip")
    assert done.code == 2
    assert "insist with tta.mirror=true" in done.err
    done = call("train", *TINY, *arguments, "tta=multi_scale", "tta.scales=[1,1]")
    assert done.code == 2
    assert "leave out the repeated ones" in done.err
    assert not (tmp_path / "run/config.yaml").exists()


def test_a_run_from_before_there_was_tta(call, finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    config = OmegaConf.load(run / "config.yaml")
    del config["tta"]
    OmegaConf.save(config, run / "config.yaml")
    done = call("evaluate", f"run={run}", f"out={tmp_path / 'o'}", "device=cpu")
    assert done.code == 0, done.err
    assert (tmp_path / "o/predictions.csv").read_text() == (run / "predictions/val.csv").read_text()


def test_probabilities_are_equal_with_and_without_a_cache(call, csv_data, tmp_path):
    """Trained with a cache, scored with and without it, and predicted by a command that has none."""
    options = [option for option in TINY if not option.startswith("transforms=")]
    arguments = (*options, "data=csv", f"data.root={csv_data}", "recipe.image_sizes=[24]", "recipe.epochs=[1,1]")
    assert call("train", *arguments, "data.cache=true", "hydra.run.dir=run").code == 0
    own = (tmp_path / "run/predictions/val.csv").read_text()
    for cache in ("true", "false"):
        done = call("evaluate", "run=run", f"data.cache={cache}", f"out=cache_{cache}")
        assert done.code == 0, done.err
        assert (tmp_path / f"cache_{cache}" / "predictions.csv").read_text() == own
    assert call("predict", "run=run", f"source={csv_data}", "out=all.csv").code == 0
    probabilities = len(own.splitlines()[0].split(",")) // 2
    predicted = {
        line.split(",")[0].split("/")[-1]: line.split(",")[1 : 1 + probabilities]
        for line in (tmp_path / "all.csv").read_text().splitlines()
    }
    for line in own.splitlines()[1:]:
        name, *values = line.split(",")
        assert predicted[name.split("/")[-1]] == values[:probabilities]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"seed: [1", "while parsing"), (b"", "it holds no settings"), (b"- 1", "no settings"), (b"\xff\xfe\x00", "")],
)
@pytest.mark.parametrize(
    "words", [["evaluate", "run=RUN"], ["predict", "run=RUN", "source=RUN"], ["train", "resume=RUN"]]
)
def test_a_damaged_config_is_one_line(call, finished_run, tmp_path, words, content, reason):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "summary.json").unlink()
    (run / "config.yaml").write_bytes(content)
    done = call(*(word.replace("RUN", str(run)) for word in words))
    assert done.code == 2, done.err
    assert "config.yaml is damaged: " in done.err and reason in done.err and len(done.err.splitlines()) == 1
