"""Mistakes on the command line that Hydra finds: one line, the culprit, what there is instead."""

import pytest

from polytag.commands import options_first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["recipe.lrr=1"],
            "Nothing reads the key 'recipe.lrr'. Did you mean 'lr'? Known: batch_sizes, curve, epochs, ",
        ),
        (["+recipe.lrr=1"], "Nothing reads the key 'recipe.lrr'. Did you mean 'lr'?"),
        (["modle=resnet18"], "Nothing reads the key 'modle'. Did you mean 'model'?"),
        (["recipe=fine_tune", "recipe.freeze=2"], "Did you mean 'freeze_epochs'?"),  # those of the chosen option
        (["model.head_options.lam=1"], "Keys of model.head_options are new to the config, so they need a plus"),
        (["model.head_options={lam: 1}"], "need a plus: '+model.head_options=...'."),
        (["recipie.lr=1"], "recipie is no group of settings. Did you mean 'recipe'?"),
        (["--epochs", "5"], "There is no option --epochs. Settings are written without dashes, as recipe.lr=1e-3"),
        (["--recipe.epochs=5"], "There is no option --recipe.epochs."),
        (["tags=first"], "tags=first is no list: tags=[first]."),
        (["seed=[1,2]"], "seed=[1, 2] is no number from 0 to 4294967295. Several seeds: train -m seed=1,2,3"),
        (["seed=-1"], "seed=-1 is no number from 0"),
        (["seed.x=1"], "Nothing reads the key 'seed.x': seed is no group of settings."),
        (["seed.x=1", "model=resnet81"], "There is no model=resnet81."),
        (["model=resnet81"], "There is no model=resnet81. Did you mean 'resnet18'? Known: convnext_tiny, "),
        (["experiment=miml"], "There is no experiment=miml. Known: frozen_features, miml_finetune, miml_keras, "),
        (["recipe.lr"], "'recipe.lr' has no value: recipe.lr=VALUE."),
        (
            ["logger=wandb,tensorboard"],
            "is several values. train -m tries one after the other. A list would be logger=[wandb,tensorboard].",
        ),
        (["recipe.lr=a b=c"], "in 'recipe.lr=a b=c'. Put a value with special characters"),
        (["~recipe.lrr"], "'recipe.lrr' does not exist"),
        (["hydra.run.dir=${nope}"], "Interpolation key 'nope' not found"),
        (["-m", "model=resnet81,resnet18"], "There is no model=resnet81."),
        (["logger=[wandb,tensorbord]"], "There is no logger=tensorbord. Did you mean 'tensorboard'? Known: none, "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(call, arguments, message):
    done = call("train", *arguments)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert done.err.startswith("Error: ")
    assert message in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("command", "path", "meant"),
    [
        ("compare", "logs/a", "runs=[logs/a]"),
        ("explain", "logs/a", "run=logs/a"),
        ("train", "logs/a", "resume=logs/a"),
        ("predict", "photos", "source=photos"),
        ("show", "photos", "data.root=photos"),
    ],
)
def test_a_path_without_a_key_is_told_the_key(call, tmp_path, monkeypatch, command, path, meant):
    monkeypatch.chdir(tmp_path)
    for folder in ("logs/a", "photos"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "logs/a/config.yaml").touch()
    done = call(command, path)
    assert (done.code, done.err) == (2, f"Error: '{path}' has no key. Probably meant: {meant}.\n")


def test_the_whole_traceback_is_there_for_who_wants_it(call, monkeypatch):
    from hydra.errors import ConfigCompositionException

    monkeypatch.setenv("POLYTAG_DEBUG", "1")
    with pytest.raises(ConfigCompositionException, match=r"Could not override 'recipe\.lrr'"):
        call("train", "recipe.lrr=1")


def test_ctrl_c_before_a_training_is_no_traceback(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("polytag.check_config.check_keys", interrupted)
    done = call("train")
    assert (done.code, done.err) == (130, "Stopped.\n")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["a=1", "--config-dir", "c", "b=2"], ["--config-dir", "c", "a=1", "b=2"]),
        (["-m", "a=1", "~callbacks.ema", "-cd", "x=y", "b=2"], ["-m", "-cd", "x=y", "a=1", "~callbacks.ema", "b=2"]),
        (["+a=1", "--cfg", "job", "--config-dir=c"], ["--cfg", "job", "--config-dir=c", "+a=1"]),
        ([], []),
    ],
)
def test_options_may_stand_between_overrides(given, wanted):
    assert options_first(given) == wanted
