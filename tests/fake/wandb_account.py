"""A user that W&B has never seen."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import wandb


@contextmanager
def no_account(place: Path) -> Iterator[pytest.MonkeyPatch]:
    """Take away keys, settings and proxies, and let W&B forget what it keeps of them in the process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")]:
            patch.delenv(name)
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_CONFIG_DIR", str(place / "config"))
        patch.setenv("WANDB_DATA_DIR", str(place / "data"))  # where artifacts wait for being sent
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        patch.setenv("NETRC", str(place / "netrc"))
        wandb.teardown()
        yield patch
        wandb.teardown()
