"""A job that refuses its values, and what a sweep makes of it."""

import json
import math

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from polytag.errors import UserError
from polytag.sweep.refusals import RefusalsPass


def ended(tmp_path, error):
    """Return how a job that raised an error counts, and its folder."""
    config = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path)}}, "criterion": {"loss": "ce"}})
    job = JobReturn(status=JobStatus.FAILED if error else JobStatus.COMPLETED, _return_value=error or 0.5)
    RefusalsPass("criterion").on_job_end(config, job)
    return job


def test_a_refusal_is_a_score_of_nan_and_a_note(tmp_path):
    job = ended(tmp_path, UserError("criterion.loss=ce does not fit."))
    assert math.isnan(job.return_value)
    note = json.loads((tmp_path / "refused.json").read_text())
    assert note == {"reason": "criterion.loss=ce does not fit.", "criterion": {"loss": "ce"}}


def test_a_refusal_may_come_wrapped(tmp_path):
    wrapped = RuntimeError("in a library")
    wrapped.__cause__ = UserError("criterion.loss=ce does not fit.")
    assert ended(tmp_path, wrapped).status == JobStatus.COMPLETED


@pytest.mark.parametrize("error", [UserError("data.root is not set"), RuntimeError("criterion.loss broke"), None])
def test_anything_else_stays_what_it_is(tmp_path, error):
    job = ended(tmp_path, error)
    assert job.status == (JobStatus.FAILED if error else JobStatus.COMPLETED)
    assert not (tmp_path / "refused.json").exists()
