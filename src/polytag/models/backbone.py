"""Any timm backbone by name, what it hands to a head, and the image sizes it takes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.models.vgg import VGG
from torch import Tensor, nn

from polytag.errors import UserError, did_you_mean, first_few
from polytag.models.heads import Takes

if TYPE_CHECKING:
    from polytag.models.network import Network

# timm's models share their methods by convention, not by a base class that a type checker could know.
TimmModel = Any

# What a model raises when an image size does not suit it: timm's own checks, and torch's for shapes.
SIZE_ERRORS = (AssertionError, RuntimeError, ValueError)


def create_backbone(
    name: str, takes: Takes = "pooled", *, drop_path: float = 0.0, pretrained: bool = False
) -> TimmModel:
    """Create a timm model without its classifier, with random weights unless `pretrained`.

    Transformers resample their position embeddings in each forward pass, so they take several image sizes. A VGG
    keeps its convolutions only, as in the Keras lesson: its hidden layers of 4,096 would want 7 x 7 maps.

    Args:
        name: timm's name, with or without the tag of its weights (`resnet34`, `resnet34.a1_in1k`).
        takes: Whether the head behind it takes pooled features or the feature map.
        drop_path: Stochastic depth's largest rate.
        pretrained: Whether timm fetches weights.

    Raises:
        UserError: timm does not know the name or its tag, or the architecture has no stochastic depth.
    """
    _check_name(name)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if name.startswith("vgg") and not pretrained:
        options["mlp_ratio"] = 1 / 4096  # dropped below: spend no 3 seconds on its 100 million random numbers
    backbone: TimmModel
    try:
        backbone = timm.create_model(name, pretrained, num_classes=0, dynamic_img_size=True, **options)
    except TypeError:  # the class does not know the option: what has no position embeddings takes any size anyway
        try:
            backbone = timm.create_model(name, pretrained, num_classes=0, **options)
        except TypeError as error:
            raise UserError(f"{name} does not take model.drop_path={drop_path} ({error}). Set it to 0.") from error
    if isinstance(backbone, VGG):
        backbone.set_submodule("pre_logits", nn.Identity())
    if takes == "map":
        # Not by an argument above: there, a transformer would choose other final norms than its weights have.
        try:
            backbone.reset_classifier(0, "")
        except AssertionError as error:
            raise UserError(f"{name} gives no feature map ({error}). Set model.head=linear.") from error
    return backbone


def _check_name(name: str) -> None:
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        raise UserError(
            f"timm has no backbone {name!r} (model.backbone).{did_you_mean(architecture, timm.list_models())}"
        )
    if name != architecture and not timm.is_model_pretrained(name):
        tags = first_few(timm.list_pretrained(f"{architecture}.*"))
        raise UserError(f"timm has no weights {name!r} (model.backbone). There are: {tags or 'none'}.")


def pool_features(backbone: TimmModel, features: Tensor) -> Tensor:
    """Turn the backbone's features into the ``(B, C)`` vectors that timm's own classifier would get."""
    pooled: Tensor = backbone.forward_head(features, pre_logits=True)
    return pooled if pooled.ndim == 2 else as_map(backbone, pooled).mean((2, 3))


def map_features(backbone: TimmModel, features: Tensor) -> Tensor:
    """Turn the features of a backbone created with `takes="map"` into a ``(B, C, H, W)`` map, after its last norm.

    The N patch tokens of a transformer become a map of N x 1, without class and register tokens: a mean or maximum
    over it is one over the patches.
    """
    return as_map(backbone, backbone.forward_head(features, pre_logits=True))


def as_map(backbone: TimmModel, features: Tensor) -> Tensor:
    """Turn features of any layout into a ``(B, C, H, W)`` map; patch tokens, without the others, into N x 1."""
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise UserError(f"{type(backbone).__name__} gives no feature map. Set model.head=linear.")
    if features.ndim == 3:
        return features[:, getattr(backbone, "num_prefix_tokens", 0) :].transpose(1, 2).unsqueeze(-1)
    return features.permute(0, 3, 1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else features


def patch_grid(backbone: TimmModel, patches: int, height: int, width: int) -> tuple[int, int]:
    """Return the rows and columns that a transformer's patches have in images of a height and width in pixels.

    The backbone knows, or they are cut as the image is: into squares.

    Raises:
        UserError: The patches form no grid.
    """
    grids = [(round(math.sqrt(patches * height / width)), round(math.sqrt(patches * width / height)))]
    embedding: TimmModel = getattr(backbone, "patch_embed", None)
    if hasattr(embedding, "dynamic_feat_size"):
        rows, columns = embedding.dynamic_feat_size((height, width))
        grids.insert(0, (rows, columns))  # of its input: where patches are merged later on, there are fewer
    for rows, columns in grids:
        if rows * columns == patches:
            return rows, columns
    raise UserError(
        f"{type(backbone).__name__} gives {patches:,} patches of an image of {height} x {width} pixels, which form no "
        "grid: there is no map to show. Choose another backbone."
    )


def measure_width(backbone: TimmModel, takes: Takes) -> int:
    """Return how many channels the head gets, by running a zero image: attributes of timm models differ in meaning."""
    shape = map_features if takes == "map" else pool_features
    with evaluating(backbone):
        try:
            return shape(backbone, backbone.forward_features(torch.zeros(1, 3, 64, 64))).shape[1]
        except SIZE_ERRORS:
            images = torch.zeros(1, *backbone.pretrained_cfg["input_size"])
            return shape(backbone, backbone.forward_features(images)).shape[1]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode without gradients, and give each submodule its own mode back afterwards."""
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            module.eval()
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def check_image_size(network: "Network", size: int) -> None:
    """Run one zero image of a size through the network.

    Raises:
        UserError: The network does not take the size; sizes near it that work are named.
    """
    problem = _size_problem(network, size)
    if problem is None:
        return
    around = {size // step * step + more for step in (14, 16, 32) for more in (0, step)} - {0, size}
    native = network.backbone.pretrained_cfg["input_size"][-1]
    working = [near for near in sorted(around) if _size_problem(network, near) is None]
    if not working and native != size and _size_problem(network, native) is None:
        working = [native]
    advice = f"Sizes that work: {', '.join(map(str, working))}." if working else "Choose another backbone or size."
    name = network.backbone_name
    raise UserError(f"{name} does not take images of {size} x {size} pixels ({problem}). {advice}")


def _size_problem(network: "Network", size: int) -> str | None:
    device = next(network.parameters()).device
    try:
        with evaluating(network):
            network(torch.zeros(1, 3, size, size, device=device))
    except torch.OutOfMemoryError:
        raise
    except SIZE_ERRORS as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None
