"""The network from pixels to logits. Everything around it (loss, metrics, optimizer) is the classifier's."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from polytag.errors import UserError
from polytag.models import layer_groups as grouping
from polytag.models.backbone import (
    TimmModel,
    create_backbone,
    evaluating,
    map_features,
    measure_width,
    patch_grid,
    pool_features,
)
from polytag.models.heads import HEADS, AttentionHead, Takes, find_head
from polytag.models.weights import load_weights


class Network(nn.Module):
    """Pixels in, logits out: normalisation, backbone and head.

    The normalisation is part of the network, and of its weights, so that whoever has the file needs no other numbers.

    Attributes:
        backbone: The timm model without its classifier.
        head: From the backbone's features to ``(B, L)`` logits.
        backbone_name: timm's name of the backbone.
        num_layer_groups: In how many layer groups it is trained.
        batch_norm: `train`, or `eval`: in training, too, the batch normalisation of the backbone uses the running
            statistics of its first weights, and leaves them alone. Its scales and shifts train either way.
        weights_report: Where its first weights came from, in one line.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: TimmModel,
        head: nn.Module,
        backbone_name: str,
        *,
        takes: Takes = "pooled",
        num_layer_groups: int = 3,
        channels_last: bool = True,
        batch_norm: str = "train",
    ) -> None:
        super().__init__()
        if batch_norm not in ("train", "eval"):
            raise UserError(f"model.batch_norm={batch_norm} is neither train nor eval.")
        self.batch_norm = batch_norm
        self.backbone = backbone
        self.head = head
        self.backbone_name = backbone_name
        self.takes = takes
        self.num_layer_groups = num_layer_groups
        self.weights_report = ""
        for name in ("mean", "std"):
            values = torch.tensor(backbone.pretrained_cfg[name]) * 255
            self.register_buffer(name, values.view(1, 3, 1, 1))
        self.renew_parameters()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def renew_parameters(self) -> None:
        """Note which parameters the backbone has: walking through the modules at each step takes a millisecond."""
        self._backbone_parameters = tuple(self.backbone.parameters())

    def train(self, mode: bool = True) -> Self:
        """Choose between training and evaluation; see `batch_norm`."""
        super().train(mode)
        if self.batch_norm == "eval":
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(B, 3, H, W)`` images, uint8 or floats from 0 to 255, to ``(B, L)`` logits."""
        return self.classify(self.head_inputs(self.features(images)))

    def features(self, images: Tensor) -> Tensor:
        """Return the backbone's features before pooling: a map of channels, or tokens, as the timm model has them.

        Nothing is kept for a backward pass that would reach no parameter. Behind a backbone that is frozen in part,
        autograd itself records from the first layer that trains.
        """
        assert images.ndim == 4 and images.shape[1] == 3, images.shape
        trains = any(parameter.requires_grad for parameter in self._backbone_parameters)
        with torch.set_grad_enabled(torch.is_grad_enabled() and (trains or images.requires_grad)):
            pixels = images.contiguous(memory_format=self.memory_format).to(self.mean.dtype)
            features: Tensor = self.backbone.forward_features((pixels - self.mean) / self.std)
        return features

    def head_inputs(self, features: Tensor) -> Tensor:
        """Turn features into what the head takes: ``(B, C)`` pooled ones, or a ``(B, C, H, W)`` map."""
        shape = map_features if self.takes == "map" else pool_features
        return shape(self.backbone, features)

    def classify(self, inputs: Tensor) -> Tensor:
        """Map what `head_inputs` returned to ``(B, L)`` logits."""
        logits: Tensor = self.head(inputs.to(self.mean.dtype))
        return logits

    def attention(self, images: Tensor) -> Tensor:
        """Return where the head looks for each class in ``(B, 3, H, W)`` images, without gradients or dropout.

        Returns:
            ``(B, L, h, w)`` float32 at the places of the backbone's map or patches: not negative, of sum 1 over them.

        Raises:
            UserError: The head looks at all places alike, or the patches form no grid.
        """
        if not isinstance(self.head, AttentionHead):
            there = ", ".join(name for name, head in HEADS.items() if issubclass(head, AttentionHead))
            own = next((name for name, head in HEADS.items() if type(self.head) is head), type(self.head).__name__)
            raise UserError(f"model.head={own} has no attention to show. These have: {there}.")
        with evaluating(self):
            features = self.features(images)
            maps = self.head.attention(self.head_inputs(features).to(self.mean.dtype))
        if features.ndim == 4:
            return maps
        rows, columns = patch_grid(self.backbone, maps.shape[2], *images.shape[2:])
        return maps.reshape(*maps.shape[:2], rows, columns)


def compile_network(network: Network) -> None:
    """Let torch compile the forward pass, on first use of each image size, batch size and set of frozen groups.

    Shapes stay fixed in the compiled code, which is faster than code for any shape; so a recipe may need more versions
    of it than torch allows by default.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = 64
    network.compile(dynamic=False)


def build_network(
    backbone: str,
    weights: str,
    head: str,
    num_classes: int,
    *,
    classes: Sequence[str] | None = None,
    head_dropout: float | None = None,
    head_options: Mapping[str, Any] | None = None,
    layer_groups: int = 3,
    channels_last: bool = True,
    drop_path: float = 0.0,
    batch_norm: str = "train",
) -> Network:
    """Build a network and load its first weights.

    Args:
        backbone: timm's name of the backbone.
        weights: Where its weights come from; see `polytag.models.weights.load_weights`.
        head: A name out of `HEADS`.
        num_classes: How many logits an image gets.
        classes: Names of the classes: with them, `weights=run:DIR` takes over the head of a run on the same classes.
        head_dropout: The head's dropout; None is the head's own default.
        head_options: Other arguments of the head's class, by name.
        layer_groups: In how many groups, the head being the last, the layers are frozen and given learning rates.
        channels_last: Whether weights and batches lie channels last, which most convolutions like better.
        drop_path: Stochastic depth's largest rate.
        batch_norm: See `Network`. Random weights have no statistics to keep: with `weights=none` it is `train`.

    Raises:
        UserError: An option is unknown, or the weights cannot be had.
    """
    assert classes is None or len(classes) == num_classes, (classes, num_classes)
    options = dict(head_options or {})
    head_class = find_head(head, options)
    body = create_backbone(backbone, head_class.takes, drop_path=drop_path)
    if head_dropout is not None:
        options["dropout"] = head_dropout
    network = Network(
        body,
        head_class(measure_width(body, head_class.takes), num_classes, **options),
        backbone,
        takes=head_class.takes,
        num_layer_groups=layer_groups,
        channels_last=channels_last,
        batch_norm="train" if weights == "none" else batch_norm,
    )
    grouping.layer_groups(network)  # an impossible number of groups is to fail before any download
    network.weights_report = load_weights(network, weights, classes)
    return network
