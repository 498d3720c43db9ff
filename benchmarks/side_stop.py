"""A callback that ends the process after the first training step: what has passed by then is the start."""

import importlib
import os
import sys
from typing import Any

MARK = "@@ first step done"
# The Lightning that the program has loaded: it comes under two names, whose callbacks are not each other's.
_name = "lightning.pytorch" if "lightning.pytorch" in sys.modules else "pytorch_lightning"
Callback: Any = importlib.import_module(_name).Callback


class Stop(Callback):
    """Say so, and leave at once, without any tidying up."""

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        print(MARK, flush=True)
        os._exit(0)
