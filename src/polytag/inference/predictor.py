"""The prediction loop: the one that scores a run at its end, evaluates and predicts."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from polytag.data.loaders import Loader
from polytag.errors import UserError
from polytag.inference.views import PLAIN, View
from polytag.models.activations import SIGMOID, Activation
from polytag.tracking.console import progress_bar


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
    network: nn.Module,
    loader: Loader,
    device: torch.device,
    *,
    activation: Activation = SIGMOID,
    views: Sequence[View] = (PLAIN,),
    precision: str = "32-true",
    title: str | None = None,
) -> npt.NDArray[np.float64]:
    """Return the ``(N, L)`` probabilities of all rows, in the order of the loader: the weighted sum over the views.

    In 64 bits, for others to be added and the sum to stay within 0 and 1 when it is rounded to 32. The sum of one plain
    view is the network's own 32-bit probabilities, to the last bit.

    Args:
        network: uint8 images -> logits. It is moved to the device and set to eval mode.
        loader: Yields batches.
        device: Where to compute.
        activation: How logits become probabilities.
        views: What the network sees of each batch.
        precision: Lightning's name of the run's precision, so that scores are those of the training's validation.
        title: Text before the progress bar; none is shown without it.
    """
    network = network.to(device).eval()
    low = torch.bfloat16 if precision.startswith("bf16") else torch.float16 if precision.startswith("16") else None
    autocast = torch.autocast(device.type, dtype=low) if low is not None else nullcontext()
    with progress_bar() as progress, torch.inference_mode(), autocast:
        batches = progress.track(loader, description=title, total=len(loader)) if title else loader
        parts = [_add_up(network, activation, batch.images.to(device, non_blocking=True), views) for batch in batches]
    return torch.cat(parts).numpy()


def _add_up(network: nn.Module, activation: Activation, images: torch.Tensor, views: Sequence[View]) -> torch.Tensor:
    """Return the weighted sum of the probabilities ``(B, L)`` of the views, in 64 bits on the CPU."""
    probabilities = [activation(network(view.operation(images))) for view in views]
    weights = torch.tensor([view.weight for view in views], dtype=torch.float64)
    return (torch.stack(probabilities).cpu().double() * weights[:, None, None]).sum(0)
