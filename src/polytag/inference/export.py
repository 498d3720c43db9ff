"""A run as one file that needs neither Polytag nor its config: a `torch.export` program with the policy inside."""

import copy
import io
import json
import os
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from polytag.errors import UserError
from polytag.models.activations import Activation
from polytag.models.network import Network
from polytag.policy import Policy
from polytag.policy.exclusive_groups import ExclusivePolicy, Groups
from polytag.policy.fixed import FixedPolicy
from polytag.policy.thresholds import Thresholds
from polytag.policy.top_k import TopK

if TYPE_CHECKING:
    from polytag.inference.loaded_run import LoadedRun

FORMAT = 1  # raised whenever a reader of the file has to do something else than before


class Program(nn.Module):
    """All that a run does to an image once it has been resized."""

    def __init__(self, network: Network, activation: Activation, decision: nn.Module) -> None:
        super().__init__()
        self.network, self.activation, self.decision = network, activation, decision

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map ``(B, 3, S, S)`` uint8 images to ``(B, L)`` float32 `probabilities` and boolean `labels`."""
        probabilities = self.activation(self.network(images))
        return {"probabilities": probabilities, "labels": self.decision(probabilities)}


class _FromThreshold(nn.Module):
    """The labels with at least their class's threshold, of ``(L,)`` float32."""

    thresholds: Tensor

    def __init__(self, thresholds: Tensor) -> None:
        super().__init__()
        self.register_buffer("thresholds", thresholds)

    def forward(self, probabilities: Tensor) -> Tensor:
        return probabilities >= self.thresholds


class _Likeliest(nn.Module):
    """The k likeliest labels, of equal ones the first; each has a probability of at least `at_least`."""

    def __init__(self, k: int, at_least: float) -> None:
        super().__init__()
        self.k, self.at_least = k, at_least

    def forward(self, probabilities: Tensor) -> Tensor:
        order = (-probabilities).argsort(dim=1, stable=True)[:, : self.k]
        chosen = torch.zeros_like(probabilities, dtype=torch.bool).scatter(1, order, True)
        return chosen & (probabilities >= self.at_least)


class _OneOfEachGroup(nn.Module):
    """The likeliest label of each group, of equal ones the first, and another decision on the other columns."""

    columns: Tensor

    def __init__(self, groups: Groups, rest: nn.Module) -> None:
        super().__init__()
        self.sizes, self.rest = [len(group) for group in groups], rest
        self.register_buffer("columns", torch.tensor([column for group in groups for column in group]))

    def forward(self, probabilities: Tensor) -> Tensor:
        others = self.rest(probabilities.index_fill(1, self.columns, -inf))
        groups = torch.split(self.columns, self.sizes)
        winners = [columns[probabilities[:, columns].argmax(1)] for columns in groups]
        return torch.scatter(others, 1, torch.stack(winners, 1), True)


def build_decision(policy: Policy, num_classes: int) -> nn.Module:
    """Return a policy in torch alone: ``(B, L)`` float32 probabilities -> boolean labels.

    Raises:
        UserError: A policy of somebody's own.
    """
    match policy:
        case FixedPolicy(threshold):
            return _FromThreshold(torch.full((num_classes,), threshold, dtype=torch.float32))
        case Thresholds(_, values):
            return _FromThreshold(_round_up(torch.tensor(values, dtype=torch.float64)))
        case TopK(k, at_least):
            return _Likeliest(k, at_least)
        case ExclusivePolicy(groups, rest):
            return _OneOfEachGroup(groups, build_decision(rest, num_classes))
    raise UserError(
        f"{type(policy).__name__} is no policy that can be exported: load_run(DIR, policy=...) with one of Polytag's."
    )


def _round_up(thresholds: Tensor) -> Tensor:
    """Return float64 thresholds as float32 ones that the same float32 probabilities reach: the next number up."""
    nearest = thresholds.float()
    return torch.where(nearest.double() < thresholds, nearest.nextafter(torch.full_like(nearest, inf)), nearest)


def export_run(run: "LoadedRun", file: str | Path, overwrite: bool = False) -> None:
    """Write a run as one file. See `LoadedRun.export`."""
    if (path := Path(file)).exists() and not overwrite:
        raise UserError(f"{path} exists already. Name another file, or add overwrite=True.")
    program = Program(run.network, run.activation, build_decision(run.policy, len(run.classes)))
    facts, content = json.dumps(_facts(run), ensure_ascii=False), io.BytesIO()
    torch.export.save(_trace(program, run.image_size), content, extra_files={"polytag.json": facts})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.getbuffer())
    os.replace(temporary, path)


def _trace(program: Program, image_size: int) -> torch.export.ExportedProgram:
    """Return a program for batches of any size, with its weights on the CPU and without gradients."""
    # A copy: the run stays as it is. torch.export.save takes weights that lie channels last for parts of larger ones,
    # and warns; the images still go through the network channels last.
    program = copy.deepcopy(program).cpu().to(memory_format=torch.contiguous_format).requires_grad_(False).eval()
    example = torch.zeros(2, 3, image_size, image_size, dtype=torch.uint8)  # torch would take a batch of 1 as fixed
    shapes = {"images": {0: torch.export.Dim("batch", min=1)}}
    with torch.no_grad():
        return torch.export.export(program, (example,), dynamic_shapes=shapes, strict=False)


def _facts(run: "LoadedRun") -> dict[str, Any]:
    """Return what a user of the file has to know: what the columns are, and how images have to be prepared."""
    presize = run.transforms.presized(run.image_size)
    return {
        "format": FORMAT,
        "classes": list(run.classes),
        "policy": run.policy.to_dict(run.classes),
        "image_size": run.image_size,
        "resize": run.config.transforms.get("resize"),
        "shrunk_first": None if presize is None else presize.side,
        "decoder": asdict(run.decoder),
        "normalisation": {name: getattr(run.network, name).flatten().tolist() for name in ("mean", "std")},
        "backbone": run.network.backbone_name,
    }
