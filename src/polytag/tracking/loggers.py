"""What every dashboard gets beside the rows of numbers, and the end of its run. W&B is imported where it is used."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from polytag.metrics.scores import is_less_better
from polytag.resume import settings_that_matter
from polytag.run_folder import RunFolder
from polytag.tracking import tensorboard_content
from polytag.tracking.media import Media
from polytag.tracking.public_config import public_values
from polytag.tracking.summary import git_commit

if TYPE_CHECKING:
    from polytag.models.classifier import Classifier

NOT_COMPARED = ("metrics", "monitor", "auto_lr")


@contextmanager
def recorded(loggers: Sequence[Logger], config: DictConfig, classifier: "Classifier") -> Iterator[None]:
    """Announce a run to its loggers, and close them however it ends, so that a sweep's next job starts its own."""
    failed = True
    try:
        announce(loggers, config, classifier)
        yield
        failed = False
    finally:
        close(loggers, failed)


def announce(loggers: Sequence[Logger], config: DictConfig, classifier: "Classifier") -> None:
    """Send the config, with its tags, notes and the commit of the sources, as plain values without secrets."""
    if not loggers:
        return
    values = public_values(config) | {"git_commit": git_commit()}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):  # the HParams tab comes with the scores: see `deliver`
            logger.hparams.update(values)  # Lightning writes hparams.yaml
            tensorboard_content.send_config(logger.experiment, values)
            continue
        logger.log_hyperparams(values)
        if isinstance(logger, WandbLogger):
            from polytag.tracking import wandb_content

            wandb_content.define_curves(logger.experiment, _directions(classifier))
            if watched := getattr(logger, "watched", None):  # another class may be a user's own
                wandb_content.watch(logger.experiment, classifier.network, watched, config.trainer.log_every_n_steps)


def _directions(classifier: "Classifier") -> dict[str, str]:
    """Return whether `max` or `min` is best, by the full name of each score."""
    of_scores = {name: "min" if is_less_better(score) else "max" for name, score in classifier.metrics.items()}
    stages = ("train", "val", "val_raw")  # the last one only where weights are averaged
    return {f"{stage}/{name}": best for stage in stages for name, best in ({"loss": "min"} | of_scores).items()}


def deliver(
    loggers: Sequence[Logger],
    config: DictConfig,
    folder: RunFolder,
    media: Media,
    summary: Mapping[str, Any],
    step: int,
) -> None:
    """Send what a finished training has come to.

    Args:
        loggers: A logger that takes numbers only, such as Lightning's for CSV files, gets nothing.
        config: The run's config.
        folder: The run folder.
        media: Pictures and tables.
        summary: What summary.json holds: its scores are those of the best checkpoint.
        step: Steps done.
    """
    parts = ("val", "test", "val_tta", "test_tta")
    scores = {f"best/{name}": float(value) for part in parts for name, value in summary.get(part, {}).items()}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            tensorboard_content.send_media(logger.experiment, media, step)
            tensorboard_content.send_hparams(logger.experiment, _settings(config), scores, step)
        elif isinstance(logger, WandbLogger):
            from polytag.tracking import wandb_content

            wandb_content.send_media(logger.experiment, media)
            wandb_content.send_scores(logger.experiment, scores)
            if which := getattr(logger, "log_checkpoints", None):
                wandb_content.send_checkpoints(logger.experiment, folder, which, summary["monitor"])


def _settings(config: DictConfig) -> dict[str, Any]:
    """Return what runs are compared by: settings that shape the training, not how it is scored and watched."""
    values = {name: value for name, value in public_values(config).items() if name not in NOT_COMPARED}
    return {name: value for name, value in settings_that_matter(values).items() if not name.endswith("._partial_")}


def close(loggers: Sequence[Logger], failed: bool = False) -> None:
    """Flush every logger; a W&B run ends here, as failed where the training did."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger) and logger.version is not None:  # it was started
            logger.experiment.finish(exit_code=int(failed))
