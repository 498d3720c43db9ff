"""Which jobs are the same one."""

import pytest

from polytag.sweep.identity import job_key

JOB = ["lr=0.1", "model=resnet18", "seed=1"]


@pytest.mark.parametrize(
    "other",
    [
        ["seed=1", "lr=0.1", "model=resnet18"],
        ["lr=1e-1", "model='resnet18'", "seed=1"],
        ["lr=0.10", 'model="resnet18"', "+seed=1"],
        ["seed=2", *JOB],
        [*JOB, "sweep=x", "sweep.trials=3", "hydra.sweep.dir=x", "hydra/launcher=joblib", "launcher=slurm"],
        [*JOB, "launcher.nodes=2", "logger=wandb", "logger.project=x", "dry_run=true", "print_config=false"],
    ],
)
def test_the_same_job(other):
    assert job_key(other) == job_key(JOB)


@pytest.mark.parametrize(
    "other",
    [
        JOB[:2],
        ["lr=0.2", *JOB[1:]],
        [*JOB, "~callbacks"],
        ["lr=0.1", "model=resnet18", "seed='1'"],
        [*JOB, "loggers=x"],
    ],
)
def test_another_job(other):
    assert job_key(other) != job_key(JOB)


def test_it_stays_the_same_in_later_versions():
    assert job_key(JOB) == "6e3f7c2c60afb824bc123748f1cd25d97882489e8c49d7f061053f703df923ef"
