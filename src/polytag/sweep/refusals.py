"""A sweep may try values that a run refuses: that is a result of it, and no reason to end in an error."""

import logging
import math
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from polytag.commands import user_error_in
from polytag.run_folder import RunFolder

log = logging.getLogger(__name__)

REFUSED_FILE = "refused.json"


class RefusalsPass(Callback):  # type: ignore[misc]  # Hydra ships no types
    """Count a job as done, with a score of NaN, where it refuses what the sweep varies; `refused.json` says why.

    Only a mistake that names a key of the node is one. Others, such as a folder that is not there, are those of the
    whole sweep, and stay errors, as what is no mistake of the user's does.

    Args:
        node: The part of the config that the sweep varies, such as `criterion`.
    """

    def __init__(self, node: str) -> None:
        self.node = node

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Look at how a job ended; where jobs run elsewhere, that is there."""
        if job_return.status != JobStatus.FAILED:
            return
        mistake = user_error_in(job_return._return_value)  # the property would raise it
        if mistake is None or not str(mistake).startswith(f"{self.node}."):
            return
        folder = RunFolder(config.hydra.runtime.output_dir)
        values = OmegaConf.to_container(config[self.node], resolve=True)
        folder.write_json(Path(folder.path, REFUSED_FILE), {"reason": str(mistake), self.node: values})
        log.warning(f"Refused: {mistake}")
        job_return.status, job_return.return_value = JobStatus.COMPLETED, math.nan
