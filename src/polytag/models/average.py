"""An exponential moving average of a network's weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from polytag.models.network import Network


class WeightAverage:
    """The average of the weights, and of the running statistics of batch normalisation, of a network in training.

    After step n the average moves towards the weights by `1 - min(decay, (1 + n) / (10 + n))`: the first, untrained
    weights are soon forgotten (as in TensorFlow's `ExponentialMovingAverage` with `num_updates`). It is no submodule of
    anything, so optimizers, freezing and DDP do not see it.

    Args:
        network: What is averaged; the average starts as a copy of it.
        decay: How much of the average stays at each optimizer step.
    """

    def __init__(self, network: Network, decay: float) -> None:
        def step_towards(averaged: Any, current: Any, steps: Any) -> None:
            now = min(decay, (1 + int(steps)) / (10 + int(steps)))
            get_ema_multi_avg_fn(now)(averaged, current, steps)  # type: ignore[no-untyped-call]  # torch's

        self._model = AveragedModel(network, multi_avg_fn=step_towards, use_buffers=True).eval()

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights, in eval mode."""
        module: nn.Module = self._model.module
        return module

    @property
    def steps(self) -> int:
        """How many steps have been averaged."""
        return int(self._model.n_averaged)

    def update(self, network: Network) -> None:
        """Take in the weights after an optimizer step."""
        self._model.update_parameters(network)

    def to(self, device: torch.device) -> None:
        """Move to the device of the training."""
        self._model.to(device)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights under the network's own names."""
        weights: dict[str, Tensor] = self.network.state_dict()
        return weights

    def load(self, weights: dict[str, Tensor], steps: int) -> None:
        """Go on from the average of a checkpoint."""
        self.network.load_state_dict(weights)
        self._model.n_averaged.fill_(steps)
