"""A job of a sweep from the inside: what its training tells the ledger, wherever it runs."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from polytag.commands import user_error_in
from polytag.errors import UserError
from polytag.run_folder import RunFolder
from polytag.sweep.capture import captured

if TYPE_CHECKING:
    from polytag.sweep.reporting import JobRecord

log = logging.getLogger(__name__)

REFUSED_FILE = "refused.json"


@contextmanager
def job_of_sweep(config: DictConfig, folder: RunFolder) -> "Iterator[JobRecord | None]":
    """Yield the record of the job that a config is of, and tell the ledger how the job ends; None outside of a sweep.

    Only the first of several ranks speaks for the job; the others get None too.

    Raises:
        UserError: The job is finished, or another process has it.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank = rank_zero_only.rank  # type: ignore[attr-defined]  # Lightning sets it on the function
    if config.sweep.number is None or rank:
        yield None
        return
    from polytag.sweep.reporting import JobRecord, JobTakenError

    try:
        record = JobRecord(Path(config.sweep.ledger), int(config.sweep.number), folder.path)
        with captured(folder.path) if config.sweep.capture else nullcontext(), record as job:
            try:
                yield job
            except Exception as error:  # whatever ends a training; the ledger is told, and it goes on its way
                _record_mistake(error, config, folder, job)
                raise
            if folder.is_finished:
                job.finish(scores_of(folder, job.ledger.settings.metrics))
    except JobTakenError as taken:
        raise UserError(f"{taken} It belongs to the sweep in {Path(config.sweep.ledger).parent}.") from taken


def scores_of(folder: RunFolder, metrics: tuple[str, ...]) -> list[float]:
    """Return the scores of a finished run at its best epoch; NaN where undefined."""
    summary = folder.read_summary()
    monitor = summary["monitor"]
    of_epoch = {} if monitor["epoch"] is None else folder.read_history()[monitor["epoch"]]  # has the loss
    losses = {name: float(text) for name, text in of_epoch.items() if name == "val/loss" and text}
    scores = {**losses, **summary["val"], monitor["metric"]: monitor["best"]}
    return [math.nan if scores.get(metric) is None else float(scores[metric]) for metric in metrics]


def _record_mistake(error: Exception, config: DictConfig, folder: RunFolder, job: "JobRecord") -> None:
    """Tell the ledger of a user's mistake in its own words.

    One that names a key of the node `sweep.refusals` is a result: the job refuses what the sweep varies. It counts as
    done with a score of NaN, and `refused.json` says why. Others, such as a folder that is not there, stay errors.
    """
    node, mistake = config.sweep.refusals, user_error_in(error)
    if mistake is None:  # the ledger has its first line
        log.error("The job has failed.", exc_info=error)
        return
    if node is None or not str(mistake).startswith(f"{node}."):
        job.ledger.fail(job.number, str(mistake), job.seconds)
        return
    values = OmegaConf.to_container(config[node], resolve=True)
    folder.write_json(folder.path / REFUSED_FILE, {"reason": str(mistake), node: values})
    job.finish([math.nan] * len(job.ledger.settings.metrics))
