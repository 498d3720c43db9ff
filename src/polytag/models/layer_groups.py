"""Ordered parts of a network, early to head: learning rates and freezing go by them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from timm.models._manipulate import group_parameters as match_parameters
from torch import nn

from polytag.errors import UserError
from polytag.schedule.recipe import group_names

if TYPE_CHECKING:
    from polytag.models.network import Network


def layer_groups(network: "Network", count: int | None = None) -> dict[str, list[str]]:
    """Return the parameter names of each layer group, in the order of depth.

    The backbone's units (stem and stages, or single blocks where more groups are wanted) are timm's own; they are cut
    into `count - 1` runs of equal length, earlier ones taking the surplus unit, and the head is the last group. For a
    resnet in three groups that is fastai's split. A backbone that does not know its units is cut at its direct
    children, or theirs where a child is a mere sequence.

    Args:
        network: A network with a `backbone` and a `head`.
        count: How many groups; the network's own `num_layer_groups` when not given. Three are named early, late, head.

    Raises:
        UserError: The backbone has fewer units than groups are wanted, or less than two are.
    """
    count = network.num_layer_groups if count is None else count
    units = units_of(network.backbone, coarse=True)
    if not 2 <= count <= len(units) + 1:
        units = units_of(network.backbone, coarse=False)
    if not 2 <= count <= len(units) + 1:
        raise UserError(
            f"model.layer_groups={count} is impossible with {network.backbone_name}: choose 2 to {len(units) + 1}."
        )
    names = group_names(count)[:-1]
    parts = np.array_split(np.arange(len(units)), count - 1)
    groups = {
        name: [f"backbone.{parameter}" for unit in part for parameter in units[unit]]
        for name, part in zip(names, parts, strict=True)
    }
    groups["head"] = [f"head.{parameter}" for parameter, _ in network.head.named_parameters()]
    grouped = [parameter for members in groups.values() for parameter in members]
    everything = [parameter for parameter, _ in network.named_parameters()]
    assert sorted(grouped) == sorted(everything), set(grouped) ^ set(everything)
    return groups


def units_of(module: nn.Module, coarse: bool) -> list[list[str]]:
    """Return the parameter names of a part's units in the order of depth: stages if coarse, else blocks."""
    matcher = getattr(module, "group_matcher", None)
    if matcher is not None:
        try:
            pattern = matcher(coarse=coarse)
        except AssertionError:  # a few models know their blocks only
            pattern = matcher()
        by_depth: dict[int, list[str]] = match_parameters(module, pattern)
        return [by_depth[depth] for depth in sorted(by_depth)]
    units: dict[tuple[str, ...], list[str]] = {}
    for name, _ in module.named_parameters():
        parts = tuple(name.split("."))
        is_sequence = isinstance(getattr(module, parts[0]), (nn.Sequential, nn.ModuleList))
        units.setdefault(parts[: 1 + is_sequence], []).append(name)
    return list(units.values())


def parameter_groups(network: "Network", count: int | None = None) -> list[dict[str, Any]]:
    """Return an optimizer's parameter groups: of each layer group one with weight decay and one without.

    Norms, biases and what timm names as such get `weight_decay: 0.0`; the others get the optimizer's. Both carry the
    `name` of their layer group. All parameters are there from the first step, frozen or not.
    """
    parameters = dict(network.named_parameters())
    spared = {f"backbone.{name}" for name in getattr(network.backbone, "no_weight_decay", set)()}
    listed: list[dict[str, Any]] = []
    for name, members in layer_groups(network, count).items():
        plain = [m for m in members if parameters[m].ndim <= 1 or m in spared]
        decayed = [m for m in members if m not in set(plain)]
        if decayed:
            listed.append({"params": [parameters[m] for m in decayed], "name": name})
        if plain:
            listed.append({"params": [parameters[m] for m in plain], "name": name, "weight_decay": 0.0})
    return listed


def frozen_modules(network: nn.Module, groups: Mapping[str, Sequence[str]], frozen: Collection[str]) -> list[nn.Module]:
    """Return the modules that freezing puts in evaluation mode: all their parameters are frozen, their parent's not.

    Modules without any parameter of their own go with the module around them.
    """
    members = {parameter for name in frozen for parameter in groups[name]}
    return [module for _, module in modules_of(network, members)]


def modules_of(module: nn.Module, members: Collection[str], path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Return the largest modules that have none but the named parameters, and some of them, with their paths."""
    own = {name if not path else f"{path}.{name}" for name, _ in module.named_parameters()}
    if own and own.issubset(members):
        yield path, module
    elif not own.isdisjoint(members):
        for name, child in module.named_children():
            yield from modules_of(child, members, name if not path else f"{path}.{name}")
