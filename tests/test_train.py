"""`train`: what it leaves, how it goes on, and what it refuses."""

import csv
import json
import math

import pytest
import torch
from conftest import TINY

from polytag import load_run
from polytag.run_folder import RunFolder

RECIPE = ("recipe.image_sizes=[32,48]", "recipe.epochs=[1,1]")


def data(root):
    return ("data=csv", f"data.root={root}")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_folder_keeps_the_contract(finished_run):
    folder = RunFolder(finished_run)
    names = {file.name for file in (finished_run / "checkpoints").iterdir()}
    assert names == {
        *("best.ckpt", "last.ckpt"),
        *("phase_0_32.ckpt", "phase_1_32.ckpt", "phase_2_48.ckpt", "phase_3_48.ckpt"),
    }
    summary = json.loads(folder.summary_file.read_text())
    assert set(summary) >= {"monitor", "val", "seconds", "images_per_second", "versions", "git_commit", "tags", "notes"}
    assert set(summary["monitor"]) == {"metric", "mode", "best", "epoch"}
    assert {"total", "train", "data_wait"} <= set(summary["seconds"])
    assert set(summary["val"]) == {
        f"val/{m}" for m in ("map", "f2", "f1_micro", "f1_macro", "accuracy", "accuracy_policy", "exact_match")
    }
    assert json.loads(folder.policy_file.read_text())["kind"] == "fixed"
    assert folder.config_file.is_file()


def test_history_has_one_row_an_epoch_with_rates_sizes_and_frozen_groups(finished_run):
    history = rows(finished_run / "metrics.csv")
    assert [row["epoch"] for row in history] == ["0", "1", "2", "3"]
    assert [row["image_size"] for row in history] == ["32", "32", "48", "48"]
    assert [row["frozen"] for row in history] == ["early+late", "", "early+late", ""]
    assert [float(row["lr/early"]) > 0 for row in history] == [False, True, False, True]
    assert all(math.isfinite(float(row[key])) for row in history for key in ("train/loss", "val/loss", "val/accuracy"))


def test_the_scores_of_the_best_checkpoint_are_those_of_its_epoch(finished_run):
    summary = json.loads((finished_run / "summary.json").read_text())
    best = rows(finished_run / "metrics.csv")[summary["monitor"]["epoch"]]
    for name, value in summary["val"].items():
        assert value == pytest.approx(float(best[name]), abs=1e-6), name
    assert summary["monitor"]["best"] == pytest.approx(summary["val"]["val/map"], abs=1e-6)


def test_predictions_hold_probabilities_and_truth(finished_run):
    from sklearn.metrics import average_precision_score

    listed = rows(finished_run / "predictions" / "val.csv")
    classes = [key for key in listed[0] if key != "image" and not key.startswith("true_")]
    assert list(listed[0]) == ["image", *classes, *(f"true_{name}" for name in classes)]
    truth = [[int(row[f"true_{name}"]) for name in classes] for row in listed]
    probabilities = [[float(row[name]) for name in classes] for row in listed]
    known = [i for i in range(len(classes)) if any(row[i] for row in truth)]
    expected = [average_precision_score([r[i] for r in truth], [r[i] for r in probabilities]) for i in known]
    summary = json.loads((finished_run / "summary.json").read_text())
    assert summary["val"]["val/map"] == pytest.approx(sum(expected) / len(expected), abs=1e-4)


def test_checkpoints_load_with_weights_only_and_say_what_they_are(finished_run):
    content = torch.load(finished_run / "checkpoints" / "phase_1_32.ckpt", weights_only=True)
    assert content["polytag"]["image_size"] == 32
    assert content["polytag"]["classes"] == list(load_run(finished_run).classes)


def test_frozen_layers_and_their_statistics_do_not_move(finished_run):
    start = torch.load(finished_run / "checkpoints" / "phase_1_32.ckpt", weights_only=True)["state_dict"]
    frozen = torch.load(finished_run / "checkpoints" / "phase_2_48.ckpt", weights_only=True)["state_dict"]
    trained = torch.load(finished_run / "checkpoints" / "phase_3_48.ckpt", weights_only=True)["state_dict"]
    backbone = [name for name in start if name.startswith("network.backbone.")]
    head = [name for name in start if name.startswith("network.head.")]
    assert all(torch.equal(start[name], frozen[name]) for name in backbone)
    assert not any(torch.equal(start[name], frozen[name]) for name in head)
    moved = [name for name in backbone if not torch.equal(frozen[name], trained[name])]
    assert any("running_mean" in name for name in moved)
    assert any(name.endswith("weight") for name in moved)


def test_two_runs_are_equal(call, csv_data, tmp_path):
    for name in ("a", "b"):
        done = call("train", *TINY, *data(csv_data), *RECIPE, f"hydra.run.dir={tmp_path / name}")
        assert done.code == 0, done.err
    assert (tmp_path / "a/metrics.csv").read_text() == (tmp_path / "b/metrics.csv").read_text()
    assert (tmp_path / "a/predictions/val.csv").read_text() == (tmp_path / "b/predictions/val.csv").read_text()


EARLY_STOPPING = (
    *("callbacks=[checkpoint,early_stopping]", "callbacks.early_stopping.min_delta=2"),
    *("callbacks.early_stopping.patience=2", "recipe.epochs=[5,1]"),
)


@pytest.mark.parametrize(
    ("stopped_epoch", "options"),
    [(1, ()), (2, ()), (1, EARLY_STOPPING), (2, EARLY_STOPPING)],
    ids=["inside", "at a size change", "with early stopping counting", "with early stopping striking"],
)
def test_the_same_command_goes_on_with_an_unfinished_run(call, csv_data, tmp_path, monkeypatch, stopped_epoch, options):
    from polytag.callbacks.history import History

    arguments = (*TINY, *data(csv_data), *RECIPE, *options)
    assert call("train", *arguments, f"hydra.run.dir={tmp_path / 'whole'}").code == 0

    class Stopped(Exception):
        pass

    write = History.on_train_epoch_end

    def stop(self, trainer, module):
        write(self, trainer, module)
        if trainer.current_epoch == stopped_epoch:
            raise Stopped  # after the row is written and before the checkpoint is

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_end", stop)
        assert call("train", *arguments, f"hydra.run.dir={tmp_path / 'parts'}").code == 1
    assert len(rows(tmp_path / "parts/metrics.csv")) == stopped_epoch + 1
    done = call("train", *arguments, f"hydra.run.dir={tmp_path / 'parts'}")
    assert done.code == 0, done.err
    assert "Going on from" in done.out
    for file in ("metrics.csv", "predictions/val.csv"):
        assert (tmp_path / "parts" / file).read_text() == (tmp_path / "whole" / file).read_text()
    weights = [
        torch.load(tmp_path / run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in ("whole", "parts")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_finished_run_says_so_and_an_unfinished_one_refuses_other_settings(call, csv_data, tmp_path):
    arguments = (*TINY, *data(csv_data), *RECIPE, f"hydra.run.dir={tmp_path / 'run'}")
    assert call("train", *arguments).code == 0
    again = call("train", *arguments)
    assert again.code == 0
    assert "is finished" in again.out
    (tmp_path / "run/summary.json").unlink()
    other = call("train", *arguments, "recipe.lr=0.5", "data.num_workers=0")
    assert other.code == 2
    assert "recipe.lr: 0.01 -> 0.5" in other.err
    assert "num_workers" not in other.err


def test_no_validation_rows_and_a_test_part(call, csv_data, tmp_path):
    done = call(
        *("train", *TINY, *data(csv_data), *RECIPE, "data.val_fraction=0", "data.test_fraction=0.25"),
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.code == 0, done.err
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert "val" not in summary
    assert "test/map" in summary["test"]
    assert summary["monitor"]["epoch"] == 3  # without a validation the last epoch is the best
    assert len(rows(tmp_path / "run/predictions/test.csv")) == 6


def test_a_run_goes_on_from_the_network_of_another(call, csv_data, finished_run, tmp_path):
    done = call(
        *("train", *TINY, *data(csv_data), *RECIPE, f"model.weights=run:{finished_run}"),
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.code == 0, done.err
    assert "Weights: took" in done.out


def test_early_stopping_ends_phases_and_the_counters_go_on(call, csv_data, tmp_path):
    done = call(
        *("train", *TINY, *data(csv_data), "recipe.image_sizes=[32]", "recipe.epochs=[6,2]"),
        *("callbacks=[checkpoint,early_stopping]", "callbacks.early_stopping.min_delta=2"),
        "callbacks.early_stopping.patience=1",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.code == 0, done.err
    history = rows(tmp_path / "run/metrics.csv")
    # No gain can reach 2: each phase ends after its second epoch.
    assert [row["epoch"] for row in history] == ["0", "1", "6", "7"]
    assert [row["frozen"] for row in history] == ["early+late", "early+late", "", ""]


def test_early_stopping_can_end_the_run(call, csv_data, tmp_path):
    done = call(
        *("train", *TINY, *data(csv_data), "recipe.image_sizes=[32]", "recipe.epochs=[4,4]"),
        *("callbacks=[checkpoint,early_stopping]", "callbacks.early_stopping.min_delta=2"),
        *("callbacks.early_stopping.patience=1", "callbacks.early_stopping.scope=run"),
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.code == 0, done.err
    assert [row["epoch"] for row in rows(tmp_path / "run/metrics.csv")] == ["0", "1"]
    assert (tmp_path / "run/summary.json").is_file()


def test_untrained_networks_can_be_scored(call, csv_data, tmp_path):
    done = call("train", *TINY, *data(csv_data), *RECIPE, "train=false", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    assert "val/map" in json.loads((tmp_path / "run/summary.json").read_text())["val"]


def test_a_sweep_makes_one_folder_a_job(call, csv_data, tmp_path):
    arguments = (*TINY, *data(csv_data), "recipe.image_sizes=[32]", "recipe.epochs=[1,0]")
    done = call("train", "-m", "seed=1,2", *arguments, "sweep.name=two", f"paths.logs={tmp_path}")
    assert done.code == 0, done.err
    scores = [json.loads((tmp_path / f"sweep/two/{job}/summary.json").read_text())["monitor"]["best"] for job in (0, 1)]
    assert len(scores) == 2


@pytest.mark.parametrize("mode", ["fast", "overfit", "limit", "profiler"])
def test_debug_modes_run_below_logs_debug(call, csv_data, tmp_path, mode):
    options = (f"debug={mode}", "max_epochs_per_phase=1", f"paths.logs={tmp_path}")
    done = call("train", *TINY[:3], *TINY[-3:], *data(csv_data), *options)
    assert done.code == 0, done.err
    assert len(list((tmp_path / "debug").glob("*/*/summary.json"))) == 1


def test_two_ranks_train_and_score_every_row_once(call, csv_data, tmp_path):
    done = call(
        *("train", *TINY, *data(csv_data), *RECIPE, "trainer=ddp_fork", "data.val_fraction=0.3"),
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.code == 0, done.err
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    best = rows(tmp_path / "run/metrics.csv")[summary["monitor"]["epoch"]]
    # Two ranks scored 7 rows in the training, one process at the end: equal only if no row counted twice.
    assert float(best["val/map"]) == pytest.approx(summary["val"]["val/map"], abs=1e-6)
    assert float(best["val/exact_match"]) == pytest.approx(summary["val"]["val/exact_match"], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data.root=not_there",), "not_there"),
        (("data.val_fraction=1.5",), "1.5"),
        (("data.classes=[nothing]",), "class"),
        (("data.label_column=tagz",), "tags"),
        (("model.backbone=resnet81",), "Did you mean 'resnet18'"),
        (("data.batch_size=0",), "data.batch_size must be 1 or more"),
        (("model.weights=not_there.pth",), "not_there.pth"),
        (("recipe.image_sizes=[0]",), "image size"),
        (("model.layer_groups=4",), "recipe.group_lr_decay=0.7"),
        (("recipe.groups=4", "recipe.group_lr_decay=0.5"), "leave out recipe.groups"),
        (("recipe.lr=fast",), "recipe.lr"),
        (("trainer=gpu",), "Try trainer=cpu"),
        (("monitor.metric=val/mapp",), "Did you mean 'val/map'"),
        (("metrics.map=null",), "monitor.metric=val/map is not computed"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(call, csv_data, tmp_path, arguments, message):
    done = call("train", *TINY, *data(csv_data), *RECIPE, *arguments, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2, (done.out, done.err)
    lines = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "run/checkpoints").exists()


def test_a_truncated_image_is_named_before_the_training(call, csv_data, tmp_path):
    import shutil

    root = tmp_path / "broken"
    shutil.copytree(csv_data, root)
    victim = sorted(file for file in root.rglob("*") if file.suffix in (".jpg", ".png"))[3]
    victim.write_bytes(victim.read_bytes()[:200])
    done = call("train", *TINY, *data(root), *RECIPE, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 2
    assert victim.name in done.err
    dropped = call("train", *TINY, *data(root), *RECIPE, "data.on_broken=drop", f"hydra.run.dir={tmp_path / 'run2'}")
    assert dropped.code == 0, dropped.err


def test_paths_with_odd_characters_need_quotes_and_the_error_says_so(call, csv_data, tmp_path):
    done = call("evaluate", "run=logs/my run (1)")
    assert done.code == 2
    assert "single quotes" in done.err


def test_a_rate_asked_for_as_auto_is_found_once_and_written_down(call, csv_data, tmp_path):
    run = tmp_path / "run"
    arguments = (*TINY, *data(csv_data), *RECIPE, "recipe.lr=auto", f"hydra.run.dir={run}")
    done = call("train", *arguments)
    assert done.code == 0, done.err
    found = RunFolder(run).read_config().recipe.lr
    assert isinstance(found, float)
    assert 1e-7 < found < 10
    assert (run / "lr_finder.png").is_file()
    assert f"recipe.lr={found:g}" in done.out
    by_hand = call("train", *arguments[:-2], f"recipe.lr={found}", f"hydra.run.dir={tmp_path / 'by_hand'}")
    assert by_hand.code == 0, by_hand.err
    assert (tmp_path / "by_hand/metrics.csv").read_text() == (run / "metrics.csv").read_text()
    assert "is finished" in call("train", *arguments).out  # auto is the number that was found
