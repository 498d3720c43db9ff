"""What a network is made of: the blocks of each layer group, what they put out, and how many parameters they have."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from polytag.models.backbone import evaluating
from polytag.models.layer_groups import layer_groups, modules_of, units_of

if TYPE_CHECKING:
    from polytag.models.network import Network

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """A part of a network.

    Attributes:
        group: The layer group that it trains with.
        name: Its path in the backbone, or `head` and its path in the head. Parameters that belong to no block, such as
            position embeddings, are one of their own.
        kind: Its class; empty for such parameters.
        parameters: How many numbers are trained in it.
        outputs: The shape of what it makes of one image, by image size; None where that is no tensor.
    """

    group: str
    name: str
    kind: str
    parameters: int
    outputs: dict[int, Shape | None]


def list_blocks(network: "Network", image_sizes: Sequence[int]) -> list[Block]:
    """Return the blocks of a network in the order of depth; each parameter is in exactly one.

    A black image of each size is sent through the network in evaluation mode: neither the statistics of batch
    normalisation nor random generators change.
    """
    found = list(_found(network))
    modules = {name: module for _, name, module, _ in found if module is not None}
    outputs = {size: _outputs(network, modules, size) for size in image_sizes}
    counts = {name: parameter.numel() for name, parameter in network.named_parameters()}
    blocks = [
        Block(
            group,
            name.removeprefix("backbone."),
            "" if module is None else type(module).__name__,
            sum(counts[member] for member in members),
            {size: outputs[size].get(name) for size in image_sizes},
        )
        for group, name, module, members in found
    ]
    assert sum(block.parameters for block in blocks) == sum(counts.values()), blocks
    return blocks


def trained_parameters(blocks: Sequence[Block], frozen: Collection[str]) -> int:
    """Return how many parameters are trained while some groups are frozen."""
    return sum(block.parameters for block in blocks if block.group not in frozen)


def _found(network: "Network") -> Iterator[tuple[str, str, nn.Module | None, set[str]]]:
    """Yield each block's group, path, module and parameters, group by group."""
    units = [*_units("backbone", network.backbone), *_units("head", network.head)]
    for group, names in layer_groups(network).items():
        for unit in units:
            members = unit.intersection(names)
            modules = list(modules_of(network, members))
            inside = {path: {name for name in members if name.startswith(f"{path}.")} for path, _ in modules}
            loose = members.difference(*inside.values())
            if loose:
                yield group, ", ".join(name.removeprefix("backbone.") for name in names if name in loose), None, loose
            for path, module in modules:
                yield group, *_innermost(path, module), inside[path]


def _units(part: str, module: nn.Module) -> list[set[str]]:
    """Return the names of the parameters that belong together; a layer that is a whole part is not taken apart."""
    is_layer = next(module.children(), None) is None
    units = [[name for name, _ in module.named_parameters()]] if is_layer else units_of(module, coarse=False)
    return [{f"{part}.{name}" for name in unit} for unit in units]


def _innermost(path: str, module: nn.Module) -> tuple[str, nn.Module]:
    """Return the one module that a sequence consists of, instead of the sequence; and its path."""
    while isinstance(module, nn.Sequential) and len(module) == 1:
        path, module = f"{path}.0", module[0]
    return path, module


def _outputs(network: "Network", modules: dict[str, nn.Module], size: int) -> dict[str, Shape | None]:
    """Return the shapes that modules put out for an image of a size."""
    shapes: dict[str, Shape | None] = {}

    def noting(name: str) -> Callable[[nn.Module, object, object], None]:
        def note(_module: nn.Module, _inputs: object, output: object) -> None:
            shapes[name] = tuple(output.shape[1:]) if isinstance(output, Tensor) else None

        return note

    hooks = [module.register_forward_hook(noting(name)) for name, module in modules.items()]
    device = next(network.parameters()).device
    try:
        with evaluating(network), torch.random.fork_rng(devices=[]):
            # forward() itself: a call would start compiling where that is asked for
            network.forward(torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes
