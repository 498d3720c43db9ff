"""`trainer=fsdp`: weights, gradients and optimizer state shared out among the processes.

With torch's `fully_shard`, parameters keep their names and are sharded one by one: freezing, layer groups and rates
work as everywhere. Lightning's `FSDPStrategy` joins those of a module into one, which trains or is frozen as a whole.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.strategies import ModelParallelStrategy, ParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from polytag.errors import UserError
from polytag.models.network import Network


def shard(network: Network, mesh: DeviceMesh) -> None:
    """Share the parameters out over a mesh, in place: each block for itself, what is around them together.

    Raises:
        UserError: The backbone has no blocks.
    """
    blocks = [
        block
        for name, module in network.backbone.named_modules()
        if name.rpartition(".")[2] == "blocks" and isinstance(module, (nn.Sequential, nn.ModuleList))
        for block in module
    ]
    if not blocks:
        raise UserError(
            f"trainer=fsdp is for backbones that consist of blocks, as ViT and ConvNeXt do, not "
            f"{network.backbone_name}: trainer=ddp trains any."
        )
    network.memory_format = torch.contiguous_format  # `fully_shard` takes no other
    network.to(memory_format=network.memory_format)
    for module in (*blocks, network):
        fully_shard(module, mesh=mesh)
    network.renew_parameters()


class FullySharded(ModelParallelStrategy):
    """Lightning's strategy for `fully_shard`, with checkpoints like those of one process: whole, in one file."""

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands over the optimizer's state."""
        return True

    def setup_environment(self) -> None:
        """Share out among all processes, not only among nodes."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the whole weights; all processes must ask for them."""
        assert self.lightning_module is not None
        return {name: whole(tensor) for name, tensor in self.lightning_module.state_dict().items()}

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimizer's whole state; all processes must ask for it."""
        state = optimizer.state_dict()
        entries = {key: {name: whole(value) for name, value in entry.items()} for key, entry in state["state"].items()}
        return {**state, "state": entries}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Let the first process write the file."""
        super(ModelParallelStrategy, self).save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the file."""
        content: dict[str, Any] = ParallelStrategy.load_checkpoint(self, checkpoint_path, weights_only)
        return content

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this process's share of the weights."""
        assert self.lightning_module is not None
        here = self.lightning_module.state_dict()
        shares = {name: share_of(tensor, here[name]) for name, tensor in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(shares, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's share of the optimizer's state."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            entries = {
                key: {name: share_of(value, parameters[key]) for name, value in entry.items()}
                for key, entry in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": entries})


def whole(value: Any) -> Any:
    """Return a tensor put together from the shares of all processes, on the CPU; anything else as it is."""
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def share_of(value: Any, like: Tensor) -> Any:
    """Return this process's share of a tensor that belongs to a parameter, as a momentum does; else as it is."""
    if not isinstance(like, DTensor) or not isinstance(value, torch.Tensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
