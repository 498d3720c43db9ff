import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from polytag.build import absolute_paths
from polytag.commands import conf_dir
from polytag.tracking.config_differences import default_config, differences

OURS = OmegaConf.create(
    {"seed": 1, "tags": ["a"], "data": {"root": "x", "new": True, "same": None}, "paths": {"output": "here"}}
)
DEFAULT = OmegaConf.create(
    {"seed": 0, "tags": [], "data": {"root": "${missing}", "same": None, "gone": 3}, "paths": {"output": "there"}}
)


def composed(*overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides=list(overrides))
    absolute_paths(config)
    return config


def test_values_stand_beside_their_defaults():
    assert differences(OURS, DEFAULT) == [
        ("seed", "1", "0"),
        ("tags", '["a"]', "[]"),
        ("data.root", "x", "not set"),
        ("data.new", "true", "not set"),
    ]


@pytest.mark.parametrize("overrides", [(), ("hydra.run.dir=elsewhere", "sweep.name=mine")])
def test_a_plain_run_differs_in_nothing(overrides):
    assert differences(composed(*overrides), default_config()) == []


def test_a_set_value_is_all_that_differs():
    assert differences(composed("seed=7", "notes=why"), default_config()) == [("seed", "7", "0"), ("notes", "why", "")]


def test_inside_a_command_the_defaults_are_composed_as_well():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides=["seed=7"])
        absolute_paths(config)

        assert differences(config, default_config()) == [("seed", "7", "0")]
        assert compose("train").seed == 0  # Hydra is left as it was
