"""What whole runs leave in W&B's and TensorBoard's files, read back."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from fake.wandb_account import no_account
from fake.wandb_files import offline_runs, read_offline
from PIL import Image

from polytag.models.classifier import Classifier
from polytag.run_folder import RunFolder

# 19 training images in batches of 4 are 5 steps an epoch; 2 sizes with 2 phases each, 1 epoch a phase.
EPOCHS, STEPS = 4, 20
OPTIONS = (
    *(
        *TINY,
        "report=true",
        "data=csv",
        "recipe.image_sizes=[32,48]",
        "recipe.epochs=[1,1]",
        "trainer.log_every_n_steps=2",
    ),
    *("logger=[tensorboard,wandb]", "logger.wandb.mode=offline", "tags=[a,b]", "notes=why"),
)
SENT = [1, *range(2, STEPS + 1, 2)]
PICTURES = {
    "history",
    "loss",
    "lr",
    "most_wrong",
    "per_class",
    "precision_recall",
    "predictions",
    "recipe",
    "thresholds",
}


@pytest.fixture(scope="module", autouse=True)
def unknown(tmp_path_factory):
    with no_account(tmp_path_factory.mktemp("account")):
        yield


@pytest.fixture(scope="module")
def folder(unknown, csv_data, tmp_path_factory):
    """The folder of a run that was recorded by both."""
    from hydra import compose, initialize_config_dir

    from polytag.commands import conf_dir
    from polytag.train import train

    run = tmp_path_factory.mktemp("recorded")
    extra = ("logger.wandb.log_checkpoints=best", "logger.wandb.watch=parameters", f"paths.output={run}")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries' own
        train(compose("train", [*OPTIONS, f"data.root={csv_data}", *extra]), RunFolder(run))
    return run


@pytest.fixture(scope="module")
def recorded(folder):
    (run,) = offline_runs(folder)
    return read_offline(run)


@pytest.fixture(scope="module")
def events(folder):
    return read_events(folder)


def read_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def scalars(events, name):
    return [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(name)]


def test_wandb_knows_the_run(folder, recorded):
    assert recorded.run["run_id"] == (folder / "wandb" / "run_id").read_text()
    assert (recorded.run["tags"], recorded.run["notes"], recorded.run["job_type"]) == (["a", "b"], "why", "train")
    assert "run_group" not in recorded.run
    assert (
        recorded.run["git"]["commit"]
        == recorded.config["git_commit"]
        == json.loads((folder / "summary.json").read_text())["git_commit"]
    )
    assert recorded.config["recipe"]["image_sizes"] == [32, 48]
    assert recorded.config["model"]["backbone"] == "test_resnet"
    assert recorded.exit_code == 0


def test_wandb_gets_a_row_an_epoch_with_all_that_metrics_csv_has(folder, recorded):
    rows = recorded.rows("val/map")

    assert [row["trainer/global_step"] for row in rows] == [5, 10, 15, 20]
    assert [row["images_seen"] for row in rows] == [19, 38, 57, 76]
    assert [row["image_size"] for row in rows] == [32, 32, 48, 48]
    assert [row["frozen/early"] for row in rows] == [1, 0, 1, 0]
    assert [row["frozen/head"] for row in rows] == [0, 0, 0, 0]
    for row, written in zip(rows, RunFolder(folder).read_history(), strict=True):
        for name in set(written) - {"frozen"}:
            assert row[name] == pytest.approx(float(written[name]), rel=1e-6), name


def test_wandb_gets_steps_at_the_rhythm_and_the_file_has_them_all(folder, recorded):
    rows, written = recorded.rows("train/loss_step"), RunFolder(folder).read_steps()

    assert [int(row["step"]) for row in written] == [*range(1, STEPS + 1)]
    assert [row["trainer/global_step"] for row in rows] == SENT
    for row in rows:
        same = written[row["trainer/global_step"] - 1]
        for name in ("epoch", "images_seen", "train/loss_step", "lr/early", "lr/late", "lr/head"):
            assert row[name] == pytest.approx(float(same[name]), rel=1e-6), name


def test_wandb_summarises_scores_by_their_best(folder, recorded):
    history = RunFolder(folder).read_history()
    maps, losses = ([float(row[name]) for row in history] for name in ("val/map", "val/loss"))

    assert recorded.summary["val/map"] == {"max": pytest.approx(max(maps))}
    assert recorded.summary["val/loss"] == {"min": pytest.approx(min(losses))}
    assert recorded.summary["epoch"] == 3
    assert recorded.metrics["val/*"]["step_metric"] == recorded.metrics["val/map"]["step_metric"] == "epoch"
    assert {recorded.metrics[name]["step_metric"] for name in ("train/loss_step", "lr/*")} == {"trainer/global_step"}
    scores = json.loads((folder / "summary.json").read_text())["val"]
    assert {name: recorded.summary[f"best/{name}"] for name in scores} == pytest.approx(scores)


def test_wandb_gets_pictures(folder, recorded):
    (row,) = recorded.rows("plots/loss")

    assert {name.removeprefix("plots/") for name in row if name.startswith("plots/")} >= PICTURES
    for name in PICTURES:
        paths = (recorded.folder / "files" / row[f"plots/{name}"]["path"], folder / "plots" / f"{name}.png")
        sent, drawn = (np.asarray(Image.open(path)) for path in paths)
        assert np.array_equal(sent, drawn), name


def test_wandb_gets_tables(folder, recorded):
    columns, classes = recorded.table("tables/per_class")
    assert [row[columns.index("name")] for row in classes] == ["apple", "bread", "cheese"]
    assert [row[columns.index("threshold")] for row in classes] == [0.5] * 3
    columns, curves = recorded.table("tables/thresholds")
    assert columns == ["class", "threshold", "precision", "recall", "f2"]
    assert sorted({row[1] for row in curves}) == pytest.approx([step / 20 for step in range(21)])
    columns, wrong = recorded.table("tables/most_wrong")
    assert columns == ["file", "image", "true", "predicted", "wrong", "loss", "p/apple", "p/bread", "p/cheese"]
    losses = [row[5] for row in wrong]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 5  # the validation images
    (artifact,) = [artifact for artifact in recorded.artifacts if "most_wrong" in artifact["name"]]  # has the images
    files = [Path(entry["local_path"]) for entry in artifact["manifest"]["contents"] if entry["path"].endswith(".jpg")]
    assert len(files) == 5
    for file in files:
        with Image.open(file) as thumbnail:
            assert max(thumbnail.size) <= 192


def test_wandb_gets_the_checkpoint_that_was_asked_for(folder, recorded):
    (artifact,) = [artifact for artifact in recorded.artifacts if artifact["type"] == "model"]

    assert artifact["name"] == f"checkpoints-{recorded.run['run_id']}"
    assert set(artifact["aliases"]) == {"best", "latest"}
    (entry,) = artifact["manifest"]["contents"]
    assert (entry["path"], entry["local_path"]) == ("best.ckpt", str(folder / "checkpoints" / "best.ckpt"))  # no copy


def test_wandb_watches_what_was_asked_for(recorded):
    names = {name for row in recorded.history for name in row}

    assert any(name.startswith("parameters/") for name in names)
    assert not any(name.startswith("gradients/") for name in names)


def test_tensorboard_has_the_same_numbers(folder, events):
    history = RunFolder(folder).read_history()

    for name in ("train/loss", "val/map", "image_size"):
        assert scalars(events, name) == [(5 * (i + 1), float(row[name])) for i, row in enumerate(history)]
    assert scalars(events, "frozen/late") == [(5, 1), (10, 0), (15, 1), (20, 0)]
    assert [step for step, _ in scalars(events, "train/loss_step")] == SENT
    assert [step for step, _ in scalars(events, "lr/head")] == sorted([*SENT, 5, 10, 15, 20])


def test_tensorboard_has_the_pictures(folder, events):
    assert {name.removeprefix("plots/") for name in events.Tags()["images"]} >= PICTURES
    (image,) = events.Images("plots/per_class")
    with Image.open(folder / "plots" / "per_class.png") as drawn:
        assert (image.step, image.width, image.height) == (STEPS, *drawn.size)


def test_a_run_that_was_stopped_and_goes_on_is_one_run(call, csv_data, tmp_path, monkeypatch):
    arguments = (*OPTIONS, f"data.root={csv_data}", f"hydra.run.dir={tmp_path}/run", "print_config=false")
    with monkeypatch.context() as patch:
        fail_at(patch, epoch=2)
        with pytest.raises(Stopped):
            call("train", *arguments)
    (first,) = offline_runs(tmp_path / "run")
    done = call("train", *arguments)
    assert done.code == 0, done.err

    one, other = (read_offline(run) for run in offline_runs(tmp_path / "run"))
    assert one.folder == first
    assert one.run["run_id"] == other.run["run_id"] == (tmp_path / "run/wandb/run_id").read_text()
    assert (one.exit_code, other.exit_code) == (1, 0)  # the first one failed
    assert [row["epoch"] for run in (one, other) for row in run.rows("val/map")] == [0, 1, 2, 3]
    steps = RunFolder(tmp_path / "run").read_steps()
    assert [int(row["step"]) for row in steps] == [*range(1, STEPS + 1)]
    events = read_events(tmp_path / "run")
    assert [step for step, _ in scalars(events, "val/map")] == [5, 10, 15, 20]
    assert "_hparams_/session_start_info" in events.summary_metadata


class Stopped(BaseException):
    """What no handler of errors catches."""


def fail_at(patch, epoch):
    original = Classifier.training_step

    def step(self, batch, batch_idx):
        if self.trainer.current_epoch == epoch:
            raise Stopped
        return original(self, batch, batch_idx)

    patch.setattr(Classifier, "training_step", step)


@pytest.mark.parametrize("mode", ["disabled", pytest.param("offline", marks=pytest.mark.slow)])
def test_a_network_that_is_only_scored_has_no_checkpoint_to_send(call, csv_data, tmp_path, mode):
    scored = ("train=false", "logger.wandb.log_checkpoints=all", "logger.wandb.watch=all", f"logger.wandb.mode={mode}")
    done = call("train", *OPTIONS, f"data.root={csv_data}", *scored, f"hydra.run.dir={tmp_path}/run")
    assert done.code == 0, done.err

    recorded = [read_offline(run) for run in offline_runs(tmp_path / "run")]
    assert len(recorded) == (mode == "offline")
    assert not [artifact for one in recorded for artifact in one.artifacts if artifact["type"] == "model"]
    assert "best/val/map" in read_events(tmp_path / "run").Tags()["scalars"]


@pytest.mark.slow
def test_jobs_of_a_sweep_are_runs_of_their_own_that_compare(call, csv_data, tmp_path):
    short = ("recipe=one_stage", "recipe.image_size=32", "recipe.epochs=1", "sweep.name=pair", "sweep.estimate=false")
    options = [option for option in OPTIONS if not option.startswith("recipe.")]
    done = call("train", "-m", *options, f"data.root={csv_data}", *short, "optimizer=adamw,sgd")
    assert done.code == 0, done.err

    jobs = sorted(path for path in (tmp_path / "logs/sweep/pair").iterdir() if (path / "wandb").is_dir())
    runs = [read_offline(offline_runs(job)[0]).run for job in jobs]
    assert len({run["run_id"] for run in runs}) == 2
    assert [run["run_group"] for run in runs] == ["pair", "pair"]
    assert [run["display_name"] for run in runs] == [job.name for job in jobs]
    settings, metrics = hparams_of(tmp_path / "logs")
    assert {"optimizer.momentum", "optimizer.betas", "recipe.lr", "model.backbone"} <= settings  # those of either job
    assert not {"paths.output", "tags", "logger.wandb.project"} & settings
    assert "best/val/map" in metrics


def hparams_of(folder):
    """Return what TensorBoard's own HParams tab makes of all runs below a folder: names of settings and metrics."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams.backend_context import Context

    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    context = Context(base_plugin.TBContext(data_provider=provider))
    content = context.hparams_metadata(RequestContext(), "")
    assert len(content) == 2
    experiment = context.experiment_from_metadata(RequestContext(), "", True, content, [])
    return {info.name for info in experiment.hparam_infos}, {info.name.tag for info in experiment.metric_infos}
