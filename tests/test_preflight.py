"""What would let processes wait for ever is refused, from what Slurm says in the environment."""

import pytest
from omegaconf import OmegaConf

from polytag import preflight
from polytag.errors import UserError
from polytag.preflight import check_ranks, device_count

# As srun sets it for each task of a job of two nodes with two tasks each.
STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "localhost",
}
SCRIPT = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}  # as sbatch sets it for its script


def trainer(devices=1, num_nodes=1, strategy="ddp_find_unused_parameters_true", accelerator="cpu"):
    values = {"devices": devices, "num_nodes": num_nodes, "strategy": strategy, "accelerator": accelerator}
    return OmegaConf.create(values)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (trainer(), {}),
        (trainer(2), {}),  # starts the second process itself
        (trainer(2, 2), STEP),
        (trainer(1), SCRIPT),  # one process that wants nobody else
        (trainer(2), {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1"}),
        (trainer(1, 2), STEP | {"SLURM_STEP_TASKS_PER_NODE": "1,1"}),
        (trainer(2), STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1"}),  # srun --pty bash, then train
    ],
)
def test_what_fits_passes(options, environment):
    check_ranks(options, environment)


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (trainer(2), SCRIPT, "4 tasks, but train was started once, without srun"),
        (trainer(4, 2), {}, "it would wait for 7 others for ever"),
        (trainer(2), STEP, "2 tasks on each of 2 nodes, but trainer.devices=2 and trainer.num_nodes=1"),
        (trainer(1, 2), STEP, "Say trainer.devices=2 trainer.num_nodes=2;"),
        (trainer(2, 2), STEP | {"SLURM_STEP_TASKS_PER_NODE": "3,1"}, "Say the same number on each: srun --ntasks-per-"),
        (trainer(2, 2, "ddp_fork"), STEP, "take trainer=slurm, or leave out srun"),
        (trainer(2, 2), STEP | {"MASTER_ADDR": "no.such.host.invalid"}, "'no.such.host.invalid' cannot be found"),
    ],
)
def test_what_would_hang_is_refused(options, environment, message):
    with pytest.raises(UserError) as error:
        check_ranks(options, environment)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("devices", "count"), [(1, 1), ("3", 3), ([0, 2], 2), ("0,2,3", 3), ("auto", 1), (-1, 1)], ids=str
)
def test_devices_are_counted_as_lightning_reads_them(devices, count):
    assert device_count(trainer(devices)) == count


@pytest.mark.parametrize(("text", "code"), [("Slurm accounting storage is disabled", 1), ("... is disabled", 0)])
def test_without_accounting_nothing_is_submitted(tmp_path, monkeypatch, text, code):
    script = tmp_path / "sacct"
    script.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UserError, match="Ask for Slurm's accounting"):
        preflight.check_accounting()
    script.write_text("#!/bin/sh\n")
    preflight.check_accounting()


def test_without_sacct_nothing_is_submitted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no command sacct"):
        preflight.check_accounting()


def test_a_sweep_is_not_started_once_a_process(call, tmp_path):
    done = call("train", "-m", "seed=1,2", "trainer=ddp", "trainer.devices=2", f"paths.logs={tmp_path}")
    assert done.code == 2
    assert "starts its other ranks by calling `train -m` again" in done.err
    own = call(
        "train", "-m", "seed=1,2", "trainer=ddp", "trainer.devices=2", "hydra/sweeper=basic", f"paths.logs={tmp_path}"
    )
    assert own.code != 0
    assert "each of them would start the sweep anew" in own.err
