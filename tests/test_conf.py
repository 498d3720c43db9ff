"""The configs: every option composes, every experiment builds, and what is misspelt is found."""

from pathlib import Path

import pytest
import yaml
from conftest import TINY
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from polytag import build, check_config
from polytag.build_trainer import build_trainer
from polytag.commands import conf_dir
from polytag.data.label_table import make_table
from polytag.data.options import COMMON_DATA_KEYS
from polytag.data.transforms import Dihedral
from polytag.errors import UserError
from polytag.run_folder import RunFolder
from polytag.schedule.curves import Constant, OneCycle
from polytag.sweep.check import JobCheck
from polytag.sweep.options import SweepOptions
from polytag.sweep.override_text import parse_override
from polytag.sweep.plan import probes
from polytag.sweep.space import grid
from polytag.sweep.space_syntax import read_space

GROUPS = (
    *("data", "transforms", "model", "criterion", "policy", "optimizer", "recipe"),
    *("callbacks", "trainer", "logger", "debug", "tta", "sweep"),
)
EXPERIMENTS = sorted(file.stem for file in (conf_dir() / "experiment").glob("*.yaml"))
# How many jobs each sweep has; of a search, those that are looked at before it starts.
JOBS = {
    "activation_loss": 9,
    "backbones": 6,
    "folds": 5,
    "losses": 15,
    "lr_wd": 3,
    "recipe": 10,
    "seeds": 5,
}
SMALL = ("data.train_scenes=60", "data.val_scenes=20", "data.scene_size=64")  # of the built-in digits
SWEEPS = sorted(file.stem for file in (conf_dir() / "sweep").glob("*.yaml"))
OPTIONS = [
    (group, file.stem)
    for group in GROUPS
    for file in sorted((conf_dir() / group).glob("*.yaml"))
    if file.stem != "common"
]
CURVES = sorted(file.stem for file in (conf_dir() / "curve").glob("*.yaml"))
RECIPES = sorted(file.stem for file in (conf_dir() / "recipe").glob("*.yaml"))


def composed(*overrides, command="train", tmp="somewhere"):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, ["data.root=nowhere", *overrides, f"paths.output={tmp}"], return_hydra_config=False)


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_composes_and_has_only_keys_that_are_read(group, option):
    check_config.check_keys(composed(f"{group}={option}"), "train")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_instantiates(experiment, tmp_path):
    config = composed(f"experiment={experiment}", "model.weights=none", "trainer=cpu", "logger=none", tmp=tmp_path)
    check_config.check_keys(config, "train")
    recipe = build.build_recipe(config)
    table = make_table(Path("."), ["a.jpg", "b.jpg"], [["x"], ["y"]])
    classifier = build.build_classifier(config, table, recipe)
    trainer = build_trainer(config, RunFolder(tmp_path), recipe, classifier.network)
    assert trainer.max_epochs == recipe.epochs
    assert classifier.configure_optimizers().param_groups[0]["name"] == "early"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_are_short(experiment):
    assert len((conf_dir() / "experiment" / f"{experiment}.yaml").read_text().splitlines()) < 30


def sweep_of(*overrides):
    """Return the options of a sweep, and what all its jobs and each of them are told; of a search, its extremes."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        single = [text for text in overrides if not parse_override(text).is_sweep_override()]
        options = SweepOptions.of(compose("train", single))
    common, space = read_space(overrides, options.params, options.conditions, options.jobs)
    jobs = list(probes(space)) if options.is_search else [point.overrides for point in grid(space)]
    return options, [(*common, *job) for job in jobs]


@pytest.fixture(scope="module")
def check():
    """Return what checks jobs, one for all tests: what they share is made once."""
    return JobCheck()


@pytest.mark.parametrize(("sweep", "count"), JOBS.items())
def test_every_job_of_every_sweep_composes_and_could_start(sweep, count, check, tmp_path_factory):
    options, jobs = sweep_of(f"sweep={sweep}")
    assert options.name.startswith(f"{sweep}_20")
    assert len(jobs) == len(set(jobs)) == count
    refusals = []
    for job in jobs:
        config = composed(
            *job, f"paths.data={tmp_path_factory.getbasetemp()}", "data.root=${paths.data}/digits", *SMALL
        )
        try:
            check.check(config)
        except UserError as refused:
            refusals.append(str(refused))
    assert [text for text in refusals if not (options.refusals and text.startswith(options.refusals))] == []


def test_the_sweeps_are_those_whose_jobs_are_counted():
    assert list(JOBS) == SWEEPS


def test_each_loss_has_its_own_settings_alone():
    _, jobs = sweep_of("sweep=losses")
    assert [job[1:] for job in jobs if job[1] == "criterion=focal"] == [
        ("criterion=focal", f"criterion.gamma={gamma}") for gamma in ("1.0", "2.0", "3.0")
    ]
    assert [job for job in jobs if "criterion=asl" in job and any("gamma=" in text for text in job)] == []


def test_recipes_take_the_image_sizes_of_the_data():
    _, jobs = sweep_of("sweep=recipe", "data=planet")
    told = [job[2:] for job in jobs]
    assert ("recipe=one_stage", "recipe.image_size=64") in told
    assert ("recipe=one_stage", "recipe.image_size=128") in told
    assert ("recipe=freeze_unfreeze", "recipe.image_sizes=[64,128]") in told


def test_values_on_the_command_line_replace_those_of_a_sweep():
    assert [job[-1] for job in sweep_of("sweep=folds", "data.num_folds=3")[1]] == [f"data.fold={i}" for i in range(3)]
    assert [job[-1] for job in sweep_of("sweep=seeds", "seed=7,8")[1]] == ["seed=7", "seed=8"]
    assert [job[-2:] for job in sweep_of("sweep=losses", "criterion=two_way,soft_f_beta")[1]] == [
        ("criterion=two_way", "criterion.temperature_positive=1.0"),
        ("criterion=two_way", "criterion.temperature_positive=4.0"),
        ("criterion=soft_f_beta", "criterion.beta=1.0"),
        ("criterion=soft_f_beta", "criterion.beta=2.0"),
    ]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_sweep_goes_with_every_experiment(sweep, experiment):
    config = composed(f"sweep={sweep}", f"experiment={experiment}", "model.weights=none")
    check_config.check_keys(config, "train")
    alone = composed(f"experiment={experiment}", "model.weights=none")
    assert config.recipe == alone.recipe


@pytest.mark.parametrize("command", ["train", "find-lr"])
def test_a_sweep_file_without_m_is_refused(call, tmp_path, command):
    done = call(command, "sweep=activation_loss", "data=csv", "data.root=nowhere")
    assert done.code == 2
    assert f"sweep=activation_loss is many runs, and needs -m: {command} -m sweep=activation_loss" in done.err


def test_the_command_line_names_a_sweep_whatever_its_file_says():
    assert composed("sweep.name=mine").sweep.name == "mine"
    assert composed("sweep=activation_loss", "sweep.name=mine").sweep.name == "mine"
    assert composed("sweep=activation_loss", command="find_lr").sweep.name.startswith("activation_loss_20")


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_can_be_chosen_for_a_recipe(curve):
    epochs = "null" if curve == "cycles" else "2"
    recipe = build.build_recipe(composed(f"curve@recipe.curve={curve}", f"recipe.epochs={epochs}"))
    assert len(recipe.phases) == 4


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_follows_the_number_of_layer_groups(recipe):
    options = [f"recipe={recipe}", "model.layer_groups=5"]
    if recipe not in ("fine_tune", "linear_probe"):  # these have no divisors
        options.append("recipe.group_lr_decay=0.7")
    if recipe == "gradual_unfreezing":  # five groups, five stages
        options += ["recipe.epochs=1", "recipe.stage_lr_div=1"]
    if recipe == "free_phases":
        options.append("recipe.phases=[{image_size: 64, epochs: 1, frozen: [group_0, group_3]}]")
    built = build.build_recipe(composed(*options))
    assert built.groups == ("group_0", "group_1", "group_2", "group_3", "head")


def test_phases_may_have_their_own_curve_and_transforms():
    config = composed("recipe=free_phases")
    OmegaConf.set_struct(config, False)
    phases = """
        - {image_size: 64, epochs: 1, curve: {_target_: polytag.schedule.curves.Constant}, batch_size: 256}
        - {image_size: 96, epochs: 2, transforms: {_target_: polytag.data.transforms.Dihedral, rotate: 5.0}}
    """
    config.recipe.phases = OmegaConf.create(phases)
    check_config.check_keys(config, "train")
    first, second = build.build_recipe(config).phases
    assert (first.curve, first.batch_size, first.transforms) == (Constant(), 256, None)
    assert (second.curve, second.batch_size, second.transforms) == (OneCycle(), None, Dihedral(rotate=5.0))


def test_the_default_recipe_freezes_unfreezes_and_grows():
    recipe = build.build_recipe(composed())
    assert len(recipe.image_sizes) == 2
    assert [bool(phase.frozen) for phase in recipe.phases] == [True, False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: {lrr: 1}", r"'recipe\.lrr'\. Did you mean 'lr'"),
        ("data: {batchsize: 1}", r"'data\.batchsize'\. Did you mean 'batch_size'"),
        ("optimiser: {lr: 1}", r"'optimiser'\. Did you mean 'optimizer'"),
        ("monitor: {metrik: x}", r"'monitor\.metrik'\. Did you mean 'metric'"),
        ("callbacks: {mine: {a: 1}}", r"callbacks\.mine needs a _target_"),
        ("callbacks: {mine: {_target_: not_there.Thing}}", r"not_there\.Thing cannot be imported"),
        (
            "recipe: {curve: {_target_: polytag.schedule.curves.FlatCosin}}",
            r"^recipe\.curve\._target_: polytag\.schedule\.curves\.FlatCosin cannot .*Did you mean 'FlatCosine'\?$",
        ),
        ("trainer: {max_epochs: 3}", r"'trainer\.max_epochs'"),
        ("recipe: {curve: {pct: 0.3}}", r"'recipe\.curve\.pct'"),
    ],
)
def test_a_misspelt_key_in_an_experiment_file_is_refused(text, message):
    config = composed()
    OmegaConf.set_struct(config, False)
    changed = OmegaConf.merge(config, OmegaConf.create(text))
    with pytest.raises(UserError, match=message):
        check_config.check_keys(changed, "train")


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (
            "{image_size: 64, curve: {_target_: polytag.schedule.curves.OneCycle, pct_strat: 0.3}}",
            r"'recipe\.phases\[1\]\.curve\.pct_strat'\. Did you mean 'pct_start'",
        ),
        (
            "{image_size: 64, transforms: {_target_: polytag.data.transforms.Plain, rezise: crop}}",
            r"'recipe\.phases\[1\]\.transforms\.rezise'\. Did you mean 'resize'",
        ),
        (
            "{image_size: 64, curve: {_target_: polytag.schedule.curves.TwoCycle}}",
            r"recipe\.phases\[1\]\.curve\._target_: polytag\.schedule\.curves\.TwoCycle cannot be imported",
        ),
    ],
)
def test_a_misspelt_argument_in_a_list_of_phases_is_refused(phase, message):
    config = composed("recipe=free_phases")
    config.recipe.phases = OmegaConf.create(f"[{{image_size: 64, epochs: 1}}, {phase}]")
    with pytest.raises(UserError, match=message):
        check_config.check_keys(config, "train")


def test_the_common_data_keys_are_those_of_the_file():
    keys = yaml.safe_load((conf_dir() / "data" / "common.yaml").read_text())
    assert set(keys) - {"root"} == COMMON_DATA_KEYS


def test_users_add_callbacks_and_loggers_by_their_class(tmp_path):
    config = composed(
        *TINY,
        "callbacks=none",
        "+callbacks.timer={_target_: pytorch_lightning.callbacks.Timer}",
        "+logger.csv={_target_: pytorch_lightning.loggers.CSVLogger, save_dir: x}",
        tmp=tmp_path,
    )
    check_config.check_keys(config, "train")
    recipe = build.build_recipe(config)
    classifier = build.build_classifier(config, make_table(Path("."), ["a.jpg"], [["x"]]), recipe)
    trainer = build_trainer(config, RunFolder(tmp_path), recipe, classifier.network)
    assert "Timer" in {type(callback).__name__ for callback in trainer.callbacks}
    assert type(trainer.logger).__name__ == "CSVLogger"


def test_several_loggers_at_once():
    assert set(composed("logger=[tensorboard,wandb]").logger) == {"tensorboard", "wandb"}


def test_callbacks_that_close_an_epoch_come_in_order(tmp_path):
    config = composed(*TINY, "callbacks=[checkpoint,early_stopping]", tmp=tmp_path)
    recipe = build.build_recipe(config)
    classifier = build.build_classifier(config, make_table(Path("."), ["a.jpg"], [["x"]]), recipe)
    trainer = build_trainer(config, RunFolder(tmp_path), recipe, classifier.network)
    names = [type(callback).__name__ for callback in trainer.callbacks]
    assert names[:3] == ["Freeze", "GroupLR", "Seeding"]
    assert names[-3:] == ["History", "EarlyStopping", "RunCheckpoint"]


def test_a_key_that_the_experiment_left_behind_is_named_with_the_way_out(call, csv_data, tmp_path):
    command = (*TINY, "experiment=miml_finetune", "data=csv", f"data.root={csv_data}", "recipe=one_stage")
    refused = call("train", *command)
    assert refused.code == 2
    assert "'recipe.phases'. Known: curve, epochs," in refused.err
    assert "experiment=miml_finetune sets it" in refused.err
    assert "'~recipe.phases'" in refused.err
    taken = call("train", *command, "~recipe.phases", "recipe.image_size=32", "dry_run=true")
    assert taken.code == 0, taken.err


@pytest.mark.parametrize("option", sorted(file.stem for file in (conf_dir() / "tta").glob("*.yaml")))
def test_every_tta_builds(option):
    config = composed(f"tta={option}", "data=csv")
    assert build.build_tta(config.tta, config.data).passes(build.build(config.transforms), 64)


@pytest.mark.parametrize("option", ["flip", "dihedral"])
def test_a_tta_that_mirrors_is_refused_for_data_that_a_mirror_changes(option):
    config = composed(f"tta={option}", "data=digits")
    with pytest.raises(UserError, match=f"tta={option} mirrors images"):
        build.build_tta(config.tta, config.data)
    insisting = composed(f"tta={option}", "data=digits", "tta.mirror=true")
    assert build.build_tta(insisting.tta, insisting.data)
