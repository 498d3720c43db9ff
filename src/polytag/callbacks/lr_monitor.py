"""The learning rates, for loggers."""

import pytorch_lightning as pl


class GroupLRMonitor(pl.Callback):
    """Send each layer group's rate to the loggers, every `log_every_n_steps` steps."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Log the rates of this batch; called after they are set."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it outside of its class
        if trainer.loggers and trainer.global_step % every == 0:
            rates = {f"lr/{group['name']}": group["lr"] for group in trainer.optimizers[0].param_groups}
            for logger in trainer.loggers:
                logger.log_metrics(rates, step=trainer.global_step)
