"""`examples/wandb_sweep.yaml` in the hands of W&B's own agent, whose processes are not started."""

import os
from pathlib import Path

import pytest
import wandb.env
import yaml
from hydra import compose, initialize_config_dir
from wandb import wandb_agent

from polytag import check_config
from polytag.commands import conf_dir

FILE = Path(__file__).parents[2] / "examples" / "wandb_sweep.yaml"
DRAWN = {"recipe.lr": 0.00123, "optimizer.weight_decay": 1e-05, "criterion": "focal"}


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Return the command that an agent starts for drawn values."""
    started = []

    class Process:
        def __init__(self, command, env, forward_signals):
            started.append(command)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    for name in (wandb.env.RUN_ID, wandb.env.SWEEP_PARAM_PATH):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(wandb.env.SWEEP_ID, "abc")
    config = yaml.safe_load(FILE.read_text())
    agent = wandb_agent.Agent(api=None, queue=None, sweep_id="abc")
    agent._sweep_command = config["command"]  # as `Agent.setup` takes it from the server
    args = {name: {"value": DRAWN[name]} for name in config["parameters"]}
    agent._command_run({"type": "run", "run_id": "run7", "program": config["program"], "args": args})
    assert os.environ[wandb.env.RUN_ID] == "run7"
    return started[0]


def test_an_agent_starts_train_with_overrides(command):
    assert command == [
        *("/usr/bin/env", "train", "data=digits", "logger=wandb"),
        *("hydra.run.dir=logs/wandb_sweep/${oc.env:WANDB_RUN_ID}", "print_config=false"),
        *("recipe.lr=0.00123", "optimizer.weight_decay=1e-05", "criterion=focal"),
    ]


def test_hydra_takes_them(command):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", [*command[2:], "paths.output=x"], return_hydra_config=True)
        assert config.hydra.run.dir == "logs/wandb_sweep/run7"
        plain = compose("train", [*command[2:], "paths.output=x"])
    check_config.check_keys(plain, "train")
    assert (plain.recipe.lr, plain.optimizer.weight_decay) == (0.00123, 1e-05)
    assert plain.criterion._target_ == "polytag.losses.focal.Focal"


def test_it_goes_by_the_metric_of_train_and_names_what_w_and_b_knows():
    config = yaml.safe_load(FILE.read_text())
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        monitor = compose("train", ["paths.output=x"]).monitor
    assert config["metric"] == {"name": f"{monitor.metric}.{monitor.mode}", "goal": f"{monitor.mode}imize"}
    assert set(config) == {"project", "program", "command", "method", "metric", "run_cap", "parameters"}
    assert config["method"] in ("grid", "random", "bayes")
    for parameter in config["parameters"].values():
        assert set(parameter) in ({"values"}, {"distribution", "min", "max"})
        assert parameter.get("distribution", "log_uniform_values") == "log_uniform_values"
