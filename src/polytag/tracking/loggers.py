"""What every dashboard gets beside the metrics, and the end of its run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from polytag.run_folder import plain_values


@contextmanager
def recorded(loggers: Sequence[Logger], config: DictConfig) -> Iterator[None]:
    """Announce a run to its loggers, and close them however it ends, so that a sweep's next job starts its own."""
    failed = True
    try:
        announce(loggers, config)
        yield
        failed = False
    finally:
        close(loggers, failed)


def announce(loggers: Sequence[Logger], config: DictConfig) -> None:
    """Send the config, with its tags and notes, as plain values; TensorBoard shows it as text."""
    for logger in loggers:
        logger.log_hyperparams(plain_values(config))
        if isinstance(logger, TensorBoardLogger):
            text = "\n".join(f"    {line}" for line in OmegaConf.to_yaml(config, resolve=True).splitlines())
            logger.experiment.add_text("config", text)


def close(loggers: Sequence[Logger], failed: bool = False) -> None:
    """Flush every logger; a W&B run ends here, as failed where the training did."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger) and logger.version is not None:  # it was started
            logger.experiment.finish(exit_code=int(failed))
