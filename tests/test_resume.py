"""Going on: a run that was stopped anywhere ends as if it had not been."""

from pathlib import Path

import pytest
import torch
from conftest import TINY
from omegaconf import OmegaConf

from polytag.models.classifier import Classifier
from polytag.resume import differences
from polytag.run_folder import RunFolder

# Two sizes, two stages, 2 epochs of 5 batches in the unfrozen ones; crops, colours and dropout draw random numbers.
SETTINGS = (
    *(option for option in TINY if not option.startswith("transforms=")),
    *("recipe.image_sizes=[32,48]", "recipe.epochs=[1,2]", "model.head_dropout=0.3"),
    *("callbacks=[checkpoint,ema,stopping]", "callbacks.checkpoint.every_minutes=0"),
)
EPOCHS = 6
CYCLES = ("curve@recipe.curve=cycles", "recipe.epochs=null", "recipe.curve.length=2")


class Stopped(BaseException):
    """Like a power failure: nothing gets to tidy up."""


def train(call, csv_data, folder, *options):
    return call("train", *SETTINGS, "data=csv", f"data.root={csv_data}", *options, f"hydra.run.dir={folder}")


def stop_at(patch, step, epoch, batch):
    """Make a step of the classifier (training_step, validation_step) fail at one place, before it does anything."""
    original = getattr(Classifier, step)

    def failing(self, data, batch_idx):
        if (self.trainer.current_epoch, batch_idx) == (epoch, batch):
            raise Stopped
        return original(self, data, batch_idx)

    patch.setattr(Classifier, step, failing)


def assert_same(left, right, path="checkpoint"):
    assert type(left) is type(right), path
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_same(left[key], right[key], f"{path}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for i, pair in enumerate(zip(left, right, strict=True)):
            assert_same(*pair, f"{path}[{i}]")
    else:
        assert left == right or (left != left and right != right), (path, left, right)


def assert_equal_runs(whole, parts):
    for file in ("metrics.csv", "steps.csv", "predictions/val.csv", "policy.json"):
        assert (parts / file).read_text() == (whole / file).read_text(), file
    names = {file.name for file in (whole / "checkpoints").iterdir()}
    assert names == {file.name for file in (parts / "checkpoints").iterdir()}
    for name in names:
        contents = [torch.load(run / "checkpoints" / name, weights_only=True) for run in (whole, parts)]
        for content in contents:
            del content["callbacks"]["Timing"]  # seconds
            del content["loops"]  # Lightning's counters of what was tried, besides what was done
        assert_same(*contents, name)


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory):
    """Return a function that gives the folder of an uninterrupted run with some options, trained once for all tests."""
    made: dict[tuple[str, ...], Path] = {}

    def whole(call, csv_data, *options):
        if options not in made:
            folder = tmp_path_factory.mktemp("whole")
            done = train(call, csv_data, folder, *options)
            assert done.code == 0, done.err
            made[options] = folder
        return made[options]

    return whole


@pytest.mark.parametrize(
    ("step", "epoch", "batch"),
    [
        ("training_step", 0, 3),  # inside the first phase: frozen
        ("training_step", 1, 0),  # at a phase boundary
        pytest.param("training_step", 1, 1, marks=pytest.mark.slow),
        ("training_step", 2, 4),  # before the last batch of an epoch
        ("training_step", 3, 0),  # at a size change
        ("training_step", 3, 2),  # a frozen phase after an unfrozen one
        pytest.param("training_step", 5, 4, marks=pytest.mark.slow),
        pytest.param("validation_step", 2, 0, marks=pytest.mark.slow),
        ("validation_step", 2, 1),
        ("validation_step", 5, 1),  # the last validation of all
    ],
)
def test_a_run_stopped_anywhere_ends_as_if_it_had_not_been(
    call, csv_data, tmp_path, monkeypatch, whole_runs, step, epoch, batch
):
    whole = whole_runs(call, csv_data)
    with monkeypatch.context() as patch:
        stop_at(patch, step, epoch, batch)
        with pytest.raises(Stopped):
            train(call, csv_data, tmp_path / "parts")
    done = train(call, csv_data, tmp_path / "parts")
    assert done.code == 0, done.err
    assert "Going on from" in done.out
    assert_equal_runs(whole, tmp_path / "parts")


@pytest.mark.parametrize(
    "options",
    [
        ("data.num_workers=2",),
        ("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.1"),
        ("mixing=both", "mixing.p=0.7", "optimizer=sgd", *CYCLES),
        pytest.param(("data.sampling=class_aware",), marks=pytest.mark.slow),
        pytest.param(("trainer.precision=bf16-mixed",), marks=pytest.mark.slow),
        ("callbacks=[checkpoint]", "callbacks.checkpoint.every_minutes=null"),
        ("transforms=dihedral", "transforms.p=0", "recipe.precompute=true", "recipe.views=8", "data.cache=true"),
        pytest.param(
            ("model.head=csra", "+model.head_options={num_heads: 2, temperatures: [1, max]}", "mixing=mixup"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("model.head=ml_decoder", "+model.head_options.decoder_width=32", "transforms=none"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("recipe.batch_sizes=[5,4]", "model.layer_groups=5", "recipe.group_lr_decay=0.5"), marks=pytest.mark.slow
        ),
    ],
    ids=[
        "workers",
        "accumulation",
        "mixing, SGD, cycles",
        "class-aware",
        "bf16",
        "no EMA, epochs only",
        "features",
        "csra",
        "ml_decoder",
        "batch sizes, groups",
    ],
)
def test_and_so_with_every_option_that_has_a_state(call, csv_data, tmp_path, monkeypatch, whole_runs, options):
    whole = whole_runs(call, csv_data, *options)
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 1, 3)
        with pytest.raises(Stopped):
            train(call, csv_data, tmp_path / "parts", *options)
        stop_at(patch, "training_step", 3, 2)
        with pytest.raises(Stopped):
            train(call, csv_data, tmp_path / "parts", *options)
    done = train(call, csv_data, tmp_path / "parts", *options)
    assert done.code == 0, done.err
    assert_equal_runs(whole, tmp_path / "parts")


def test_the_number_of_workers_changes_nothing(call, csv_data, whole_runs):
    assert_equal_runs(whole_runs(call, csv_data), whole_runs(call, csv_data, "data.num_workers=2"))


def test_a_damaged_checkpoint_is_never_chosen(call, csv_data, tmp_path, monkeypatch, whole_runs):
    whole, parts = whole_runs(call, csv_data), tmp_path / "parts"
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 4, 2)
        with pytest.raises(Stopped):
            train(call, csv_data, parts)
    last = parts / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    (parts / "checkpoints/.last.ckpt.123").write_bytes(b"cut while it was written")
    done = train(call, csv_data, parts)
    assert done.code == 0, done.err
    assert "last.ckpt is missing or damaged: going on from" in done.out
    (parts / "checkpoints/.last.ckpt.123").unlink()
    assert_equal_runs(whole, parts)


def test_resume_takes_the_config_from_the_run_folder(call, csv_data, tmp_path, monkeypatch, whole_runs):
    whole, parts = whole_runs(call, csv_data), tmp_path / "a run (1)"
    quoted = str(parts)
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 3, 1)
        with pytest.raises(Stopped):
            train(call, csv_data, f"'{quoted}'")
    changed = call("train", f"resume='{quoted}'", "recipe.lr=0.5", "data.num_workers=1")
    assert changed.code == 2
    assert "recipe.lr: 0.01 -> 0.5" in changed.err
    assert "num_workers" not in changed.err
    done = call("train", f"resume='{quoted}'", "logger=tensorboard", "tags=[again]")
    assert done.code == 0, done.err
    assert_equal_runs(whole, parts)
    assert (parts / "tensorboard").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a run (1)"]  # no folder is made beside it
    finished = call("train", f"resume='{quoted}'")
    assert finished.code == 0
    assert "is finished" in finished.out


def test_the_time_of_what_was_interrupted_counts(call, csv_data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 1, 0)
        with pytest.raises(Stopped):
            train(call, csv_data, tmp_path / "run")
    last = tmp_path / "run/checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    assert 0 < content["callbacks"]["Timing"]["elapsed"] < 600
    content["callbacks"]["Timing"]["elapsed"] = 7200.0
    torch.save(content, last)
    assert train(call, csv_data, tmp_path / "run").code == 0
    assert torch.load(last, weights_only=True)["callbacks"]["Timing"]["elapsed"] > 7200
    assert 7200 < RunFolder(tmp_path / "run").read_summary()["seconds"]["total"] < 7800


def test_changed_settings_are_taken_when_told_to(call, csv_data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 3, 1)
        with pytest.raises(Stopped):
            train(call, csv_data, tmp_path / "run")
    done = call("train", f"resume={tmp_path / 'run'}", "recipe.lr=0.002", "allow_changes=true")
    assert done.code == 0, done.err
    assert "recipe.lr: 0.01 -> 0.002" in done.out
    assert RunFolder(tmp_path / "run").read_config().recipe.lr == 0.002
    rates = [float(line.split(",")[4]) for line in (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]]
    assert len(rates) == EPOCHS


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ("class", (), "trained for the classes"),
        ("class", ("allow_changes=true",), "Start a new run"),
        ("row", (), "are not those that the run started with"),
        (None, ("model.backbone=test_efficientnet",), "test_resnet -> test_efficientnet"),
        (None, ("model.backbone=test_efficientnet", "allow_changes=true"), "does not fit the network"),
    ],
)  # fmt: skip
def test_other_data_or_networks_are_refused(call, csv_data, tmp_path, monkeypatch, change, options, message):
    import shutil

    data = tmp_path / "data"
    shutil.copytree(csv_data, data)
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 0, 2)
        with pytest.raises(Stopped):
            train(call, data, tmp_path / "run")
    lines = (data / "labels.csv").read_text().splitlines()
    if change == "row":
        (data / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    elif change == "class":
        (data / "labels.csv").write_text("\n".join([*lines[:-1], lines[-1].split(",")[0] + ",a_new_one"]) + "\n")
    done = call("train", f"resume={tmp_path / 'run'}", *options)
    assert done.code == 2, (done.out, done.err)
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_job_of_a_sweep_file_goes_on_alone(call, csv_data, tmp_path, monkeypatch):
    pair = ("criterion.activation=sigmoid", "criterion.loss=bce", "sweep.name=pairs")
    short = ("recipe.image_size=32", "recipe.epochs=2", "callbacks=none")
    with monkeypatch.context() as patch:
        stop_at(patch, "training_step", 1, 0)
        with pytest.raises(Stopped):
            call("train", "-m", "sweep=activation_loss", *TINY, "data=csv", f"data.root={csv_data}", *short, *pair)
    job = tmp_path / "logs/sweep/pairs/0_sigmoid_bce"
    done = call("train", f"resume={job}", "allow_changes=true")
    assert done.code == 0, done.err
    assert len(RunFolder(job).read_history()) == 2
    assert RunFolder(job).read_config().sweep.number is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resume=not_there",), "There is no run folder not_there"),
        (("-m", "resume=not_there"), "leave out -m"),
        (("resume=x", "experiment=miml_finetune"), "leave out experiment="),
        (("resume=x", "sweep=activation_loss"), "leave out sweep="),
    ],
)
def test_resume_says_what_it_cannot_do(call, arguments, message):
    done = call("train", *arguments)
    assert done.code == 2
    assert message in done.err


def test_what_was_asked_for_as_auto_is_what_was_found():
    old = OmegaConf.create({"recipe": {"lr": 0.004}, "seed": 1})
    assert differences(old, OmegaConf.create({"recipe": {"lr": "auto"}, "seed": 1})) == []
    assert differences(old, OmegaConf.create({"recipe": {"lr": 0.005}, "seed": 1})) == ["recipe.lr: 0.004 -> 0.005"]


def test_of_another_recipe_only_the_names_are_shown():
    curve = {"_target_": "curves.OneCycle", "div": 25}
    old = OmegaConf.create({"recipe": {"_target_": "recipes.one_stage", "epochs": 5, "curve": curve}, "seed": 1})
    new = OmegaConf.create({"recipe": {"_target_": "recipes.fine_tune", "lr_mult": 100}, "seed": 2})
    assert differences(old, new) == ["recipe: one_stage -> fine_tune", "seed: 1 -> 2"]
    inside = OmegaConf.create({"recipe": {**old.recipe, "curve": {"_target_": "curves.Constant"}}, "seed": 1})
    assert differences(old, inside) == ["recipe.curve: OneCycle -> Constant"]


def test_the_time_limit_stops_with_a_checkpoint_and_the_run_goes_on(call, csv_data, tmp_path, whole_runs):
    short = ("recipe.image_sizes=[32]", "recipe.epochs=[1,1]")
    stops = 0
    for _ in range(20):
        done = train(call, csv_data, tmp_path / "parts", *short, "callbacks.stopping.max_minutes=0")
        if done.code == 0:
            break
        assert done.code == 124, done.err
        stops += 1
    # Each call trains one of 5 batches and stops behind it, or at the epoch's end; after the last there is no need to.
    assert stops == 2 * 5 - 1
    assert_equal_runs(whole_runs(call, csv_data, *short), tmp_path / "parts")


@pytest.mark.parametrize("sampling", ["shuffled", pytest.param("class_aware", marks=pytest.mark.slow)])
def test_two_ranks_go_on_inside_an_epoch_too(call, csv_data, tmp_path, sampling):
    options = ("trainer=ddp_fork", "data.val_fraction=0.3", "recipe.image_sizes=[32]", "recipe.epochs=[1,1]")
    options = (*options, f"data.sampling={sampling}")
    assert train(call, csv_data, tmp_path / "whole", *options).code == 0
    stops = 0
    while not (tmp_path / "parts/summary.json").exists():
        done = train(call, csv_data, tmp_path / "parts", *options, "callbacks.stopping.max_minutes=0")
        assert ("Going on from" in done.out) == (stops > 0)
        if done.code:  # behind the first batch of an epoch, and at its end
            assert done.code == 124
            assert "Traceback" not in done.err
            stops += 1
    assert stops == 3
    whole, parts = (RunFolder(tmp_path / name).read_history() for name in ("whole", "parts"))
    for row, same in zip(whole, parts, strict=True):
        # The losses of the batches are added up in another order: the last digit of their sum may differ.
        assert float(row.pop("train/loss")) == pytest.approx(float(same.pop("train/loss")), rel=1e-6)
        assert row == same
    states = [torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("whole", "parts")]
    for key in ("state_dict", "raw_state_dict", "optimizer_states", "average_steps"):
        assert_same(states[0][key], states[1][key], key)
