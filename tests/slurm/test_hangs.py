"""What would wait for ever in a real Slurm is one error at once; and several tasks prepare a run only once."""

import pytest
from conftest import TINY
from omegaconf import OmegaConf

from polytag.errors import UserError
from polytag.preflight import check_accounting

pytestmark = pytest.mark.slurm
DATA = ("data.train_scenes=24", "data.val_scenes=8", "recipe.image_sizes=[32]", "recipe.epochs=[1,1]")
TRAIN = ("train", *TINY[:-2], "trainer=slurm", "trainer.accelerator=cpu", "print_config=false", *DATA)


def refused(done):
    """Return the first line of a command that was refused, before it trained."""
    assert done.returncode == 2, done.stdout
    assert "epoch 1/" not in done.stdout
    (first, *_) = [line for line in done.stdout.splitlines() if line.startswith("Error: ")]
    return first


def test_tasks_without_srun(cluster, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/bash\n{' '.join(TRAIN)} hydra.run.dir={tmp_path}/run\n")
    job = cluster.submit("--ntasks-per-node=2", script)
    assert job.wait_for_end()["ExitCode"] == "2:0", job.output
    assert "This Slurm job has 2 tasks, but train was started once, without srun" in job.output


def test_other_devices_than_tasks(cluster, tmp_path):
    srun = ("srun", "--ntasks-per-node=2", *TRAIN, "trainer.devices=1", f"hydra.run.dir={tmp_path}/run")
    error = refused(cluster.run(*srun))
    assert "srun has started 2 tasks on 1 node, but trainer.devices=1" in error
    assert "Say trainer.devices=2 trainer.num_nodes=1;" in error


def test_a_first_node_that_nobody_can_find(cluster, tmp_path):
    srun = ("srun", "--ntasks-per-node=2", *TRAIN, f"hydra.run.dir={tmp_path}/run")
    assert "'no-such-node' cannot be found" in refused(cluster.run(*srun, MASTER_ADDR="no-such-node"))


def test_processes_that_would_each_start_others(cluster, tmp_path):
    srun = ("srun", "--ntasks-per-node=2", *TRAIN, "trainer=ddp_fork", f"hydra.run.dir={tmp_path}/run")
    assert "take trainer=slurm, or leave out srun" in refused(cluster.run(*srun))


def test_a_mistake_that_only_the_first_task_meets_ends_the_others(cluster, tmp_path):
    # The first task reads the data; without --kill-on-bad-exit, the other one would wait for it.
    settings = (*TRAIN[:-4], "data=csv", f"data.root={tmp_path}", f"hydra.run.dir={tmp_path}/run")
    done = cluster.run("srun", "--ntasks-per-node=2", "--kill-on-bad-exit=0", *settings)
    assert done.returncode == 2 and done.stdout.count("Error: ") == 1, done.stdout
    assert "labels.csv" in done.stdout


def test_a_job_on_two_nodes_that_salloc_calls_interactive(cluster, tmp_path):
    salloc = ("salloc", "--nodes=2", "--ntasks-per-node=1", "srun", *TRAIN)
    options = ("recipe.lr=auto", "auto_lr.steps=30", "data.cache=true", f"paths.cache={tmp_path}/cache")
    done = cluster.run(*salloc, *options, f"hydra.run.dir={tmp_path}/run", timeout=120)
    assert done.returncode == 0, done.stdout
    assert "MEMBER: 1/2" in done.stdout  # Lightning alone would train the run twice, in one folder
    for once in ("epoch 2/2", "Cached shrunken images, 32 at", "recipe.lr="):
        assert done.stdout.count(once) == 1, done.stdout
    assert isinstance(OmegaConf.load(tmp_path / "run" / "config.yaml").recipe.lr, float)


def test_without_accounting_nobody_could_tell_how_a_job_ended(cluster, monkeypatch):
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    if cluster.has_accounting:
        check_accounting()
    else:
        with pytest.raises(UserError, match="sacct does not tell how jobs end"):
            check_accounting()
