"""The prediction loop: the one that scores a run at its end, evaluates and predicts."""

from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import nn

from polytag.data.datamodule import Loader
from polytag.errors import UserError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name; `auto` is a GPU where there is one, else the CPU.

    Raises:
        UserError: No such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device("cuda" if name == "gpu" else name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device={name} is not to be had here ({reason}). Try device=cpu.") from error
    return device


def predict_probabilities(
    network: nn.Module, loader: Loader, device: torch.device, *, precision: str = "32-true", title: str | None = None
) -> npt.NDArray[np.float32]:
    """Return the ``(N, L)`` probabilities of all rows, in the order of the loader.

    Args:
        network: uint8 images -> logits. It is moved to the device and set to eval mode.
        loader: Yields batches.
        device: Where to compute.
        precision: Lightning's name of the run's precision, so that scores are those of the training's validation.
        title: Text before the progress bar; none is shown without it.
    """
    network = network.to(device).eval()
    low = torch.bfloat16 if precision.startswith("bf16") else torch.float16 if precision.startswith("16") else None
    autocast = torch.autocast(device.type, dtype=low) if low is not None else nullcontext()
    batches = track(loader, title, total=len(loader), transient=True) if title else loader
    with torch.inference_mode(), autocast:
        parts = [network(batch.images.to(device, non_blocking=True)).float().sigmoid().cpu() for batch in batches]
    return torch.cat(parts).numpy()
