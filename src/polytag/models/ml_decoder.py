"""The head `ml_decoder`: timm's ML-Decoder, made to run with today's torch, and where it looks."""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from timm.layers.ml_decoder import MLDecoder
from torch import Tensor, nn

from polytag.errors import UserError


class MLDecoderHead(nn.Module):
    """ML-Decoder: a query a class, or a group of them, collects what concerns it from the places of the map.

    Ridnik et al., "ML-Decoder", 2021, https://arxiv.org/abs/2111.12933; the layers are timm's: one decoder layer of
    8 attention heads and a hidden layer of 2,048, without positions, behind queries that stay as they were drawn.

    Args:
        width: Channels of the map.
        num_classes: Number of logits.
        dropout: Of the decoder, its attention weights included.
        decoder_width: Length of the queries.
        groups: How many queries there are at most; with fewer than classes, neighbouring classes share one.

    Raises:
        UserError: An option makes no sense.
    """

    takes: ClassVar[Literal["map"]] = "map"
    ATTENTION_HEADS: ClassVar[int] = 8  # timm's

    def __init__(
        self,
        width: int,
        num_classes: int,
        dropout: float = 0.1,
        decoder_width: int = 768,
        groups: int = 100,
    ) -> None:
        super().__init__()
        if not isinstance(decoder_width, int) or decoder_width < 1 or decoder_width % self.ATTENTION_HEADS:
            raise UserError(
                f"model.head_options.decoder_width={decoder_width} cannot be shared out among the decoder's "
                f"{self.ATTENTION_HEADS} attention heads: give a multiple of {self.ATTENTION_HEADS}."
            )
        if not isinstance(groups, int) or groups < 1:
            raise UserError(f"model.head_options.groups={groups} is no number from 1 on.")
        self.num_classes = num_classes
        self.classes_each = math.ceil(num_classes / min(groups, num_classes))
        queries = math.ceil(num_classes / self.classes_each)  # timm would make some that no class belongs to
        self.decoder = MLDecoder(num_classes, queries, decoder_width, width)
        self.decoder.decoder = _DecoderLayers(self.decoder.decoder.layers)
        self.decoder.query_embed = _FixedQueries(self.decoder.query_embed.weight)
        for layer in self.decoder.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = dropout
            elif isinstance(layer, nn.MultiheadAttention):
                layer.dropout = dropout

    def forward(self, features: Tensor) -> Tensor:
        """Map a ``(B, C, H, W)`` feature map to ``(B, L)`` logits."""
        logits: Tensor = self.decoder(features)
        return logits

    def attention(self, features: Tensor) -> Tensor:
        """Return ``(B, L, H, W)``: how each class's query weighs the places, the mean over the attention heads."""
        layer = self.decoder.decoder.layers[0]
        projection = layer.multihead_attn
        (query_weight, key_weight, _), (query_bias, key_bias, _) = (
            part.chunk(3) for part in (projection.in_proj_weight, projection.in_proj_bias)
        )
        queries = layer.norm1(2 * self.decoder.query_embed.weight)  # the layer adds them to themselves first
        places = self.decoder.embed_standart(features.flatten(2).transpose(1, 2)).relu()
        queries = F.linear(queries, query_weight, query_bias).view(len(queries), self.ATTENTION_HEADS, -1)
        keys = F.linear(places, key_weight, key_bias).view(*places.shape[:2], self.ATTENTION_HEADS, -1)
        similar = torch.einsum("qhd,bphd->bqhp", queries, keys) / math.sqrt(keys.shape[-1])
        weights = similar.float().softmax(-1).mean(2)
        of_class = weights.repeat_interleave(self.classes_each, 1)[:, : self.num_classes]
        return of_class.view(*of_class.shape[:2], *features.shape[2:])


class _DecoderLayers(nn.Module):
    """The decoder's layers in a row: torch's own `TransformerDecoder` asks them since 2.0 for what timm's have not.

    https://github.com/Alibaba-MIIL/ML_Decoder/issues/82. The weights keep their names.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, queries: Tensor, places: Tensor) -> Tensor:
        """Return what the queries, ``(Q, B, D)``, collect from ``(places, B, D)``."""
        for layer in self.layers:
            queries = layer(queries, places)
        return queries


class _FixedQueries(nn.Module):
    """The queries as a buffer: as a parameter, which timm has frozen, they would thaw with the rest of the head."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach())
