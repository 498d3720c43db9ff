"""`best.yaml`: the best job of a sweep once more, from a file alone."""

import json
import re
import shlex

import pytest
import yaml
from conftest import TINY

SHORT = ("recipe=one_stage", "recipe.image_size=32", "recipe.epochs=1", "sweep.name=s", "sweep.estimate=false")
OWN = ("sweep", "paths")  # of the job and of the run again


def swept(call, tmp_path, csv_data, *options):
    """Run a sweep, and return its folder with the number of the best job."""
    done = call("train", "-m", *TINY, "data=csv", f"data.root={csv_data}", *SHORT, *options)
    assert done.code == 0, done.out + done.err
    folder = tmp_path / "logs/sweep/s"
    number = int(re.search(r"# Job (\d+) of the sweep s", (folder / "best.yaml").read_text())[1])
    scores = {path.parent.name: best_of(path.parent) for path in folder.glob("*/summary.json")}
    assert best_of(folder / str(number)) == max(scores.values())
    return folder, folder / str(number)


def best_of(run):
    return json.loads((run / "summary.json").read_text())["monitor"]["best"]


def config_of(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    return {key: value for key, value in config.items() if key not in (*OWN, "print_config")}


def again(call, tmp_path, folder):
    """Run `best.yaml` as its first lines say, with the file in a config folder of the user's own."""
    (tmp_path / "more/experiment").mkdir(parents=True)
    text = (folder / "best.yaml").read_text()
    (tmp_path / "more/experiment/best.yaml").write_text(text)
    _, *arguments = shlex.split(next(line for line in text.splitlines() if "train experiment=best" in line)[1:])
    run = tmp_path / "again"
    done = call("train", "--config-dir", str(tmp_path / "more"), *arguments, f"hydra.run.dir={run}")
    assert done.code == 0, done.err
    return run, arguments


def same(call, tmp_path, folder, best):
    run, arguments = again(call, tmp_path, folder)
    assert config_of(run) == config_of(best)
    assert best_of(run) == best_of(best)
    return arguments


def test_it_trains_the_best_job_again_from_an_experiment_groups_values_and_another_recipe(call, csv_data, tmp_path):
    options = (
        *("experiment=planet_fastai", "~recipe.stages", "~recipe.image_sizes", "~recipe.stage_lr_div"),
        *("curve@recipe.curve=warmup_cosine", "~recipe.curve.count", "~recipe.curve.length", "~recipe.curve.mult"),
        *("optimizer=adam", "criterion=focal", "criterion.gamma=1.0,3.0", "recipe.lr=1e-4,1e-2", "tta=none"),
        *("monitor.metric=val/map", "notes='a, b: c'"),
    )
    folder, best = swept(call, tmp_path, csv_data, *options)
    content = yaml.safe_load((folder / "best.yaml").read_text())
    assert content["defaults"] == [
        {"override /data": "csv"},
        {"override /transforms": "none"},
        {"override /model": "resnet18"},
        {"override /criterion": "focal"},
        {"override /optimizer": "adam"},
        {"override /curve@recipe.curve": "warmup_cosine"},
        {"override /recipe": "one_stage"},
        {"override /trainer": "cpu"},
        "_self_",
    ]
    assert content["data"] == {"root": str(csv_data), "batch_size": 4, "cache": True}
    assert set(content["recipe"]) == {"image_size", "epochs", "lr"}
    assert content["notes"] == "a, b: c"
    assert same(call, tmp_path, folder, best) == ["experiment=best"]


@pytest.mark.slow
def test_lists_nulls_and_lists_of_options_are_kept(call, csv_data, tmp_path):
    options = ("seed=0,1", "callbacks=[checkpoint,ema]", "recipe.curve.cycle_momentum=null", "metrics.f2=null")
    folder, best = swept(call, tmp_path, csv_data, *options, "recipe.group_lr_div=[4,2,1]")
    content = yaml.safe_load((folder / "best.yaml").read_text())
    assert content["recipe"]["group_lr_div"] == [4, 2, 1]
    assert content["recipe"]["curve"] == {"cycle_momentum": None}
    assert {"override /callbacks": None} in content["defaults"]
    assert set(content["callbacks"]) == {"checkpoint", "ema"}
    assert same(call, tmp_path, folder, best) == ["experiment=best"]


def test_what_no_file_can_say_is_added_to_its_command(call, csv_data, tmp_path):
    folder, best = swept(call, tmp_path, csv_data, "seed=0,1", "~callbacks.progress", "~metrics.exact_match")
    text = (folder / "best.yaml").read_text()
    assert "#   train experiment=best '~metrics.exact_match' '~callbacks.progress'\n# What stands behind it" in text
    assert same(call, tmp_path, folder, best)[1:] == ["~metrics.exact_match", "~callbacks.progress"]


@pytest.mark.slow
def test_what_was_measured_is_written_out(call, csv_data, tmp_path):
    options = ("seed=0,1", "recipe.lr=auto", "data.cache=auto", "auto_lr.steps=20")
    folder, best = swept(call, tmp_path, csv_data, *options)
    content = yaml.safe_load((folder / "best.yaml").read_text())
    found = config_of(best)
    assert content["recipe"]["lr"] == found["recipe"]["lr"] > 0
    assert found["data"]["cache"] in (True, False)
    assert "auto" not in yaml.safe_dump({key: content[key] for key in ("recipe", "data")})
    assert same(call, tmp_path, folder, best) == ["experiment=best"]
