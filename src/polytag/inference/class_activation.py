"""Which places of an image speak for a label: class activation maps, with captum, which only this module imports.

What the backbone sees at each place times the gradient of the label's logit there, summed over the channels:
HiResCAM (Draelos and Carin 2020, https://arxiv.org/abs/2011.08891). Behind the mean over the map and a linear layer it
is the classic class activation map. Grad-CAM's mean of the gradient over the places would lose what heads with a
maximum or with attention make of them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from polytag.data.transforms import Image
from polytag.errors import UserError
from polytag.models.backbone import TimmModel, as_map, evaluating, patch_grid

if TYPE_CHECKING:
    from polytag.inference.loaded_run import LoadedRun
    from polytag.models.network import Network

Heat = npt.NDArray[np.float32]


def activation_overlays(run: "LoadedRun", pixels: Image, class_indices: Sequence[int]) -> list[Image]:
    """Return an image once a class, in grey, under the colours of where the class is seen.

    Args:
        run: Its network looks, at the image prepared as for its validation.
        pixels: ``(H, W, 3)`` RGB, the image as it was decoded.
        class_indices: Numbers of the classes, as in `run.classes`.

    Returns:
        ``(H, W, 3)`` RGB each.

    Raises:
        UserError: The backbone has no places that could be shown.
    """
    from polytag.tracking.attention_plot import overlay

    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None]
    return [overlay(grey, heat) for heat in heat_maps(run, pixels, class_indices)]


def heat_maps(run: "LoadedRun", pixels: Image, class_indices: Sequence[int]) -> list[Heat]:
    """Return where an image speaks for classes: ``(H, W)`` each, from 0 to 1 at its strongest place.

    All 0 where no place speaks for the class, and in parts that the run's transforms cut off. Arguments and errors are
    those of `activation_overlays`.
    """
    presize = run.transforms.presized(run.image_size)
    prepared = run.transforms.evaluation(run.image_size)(pixels if presize is None else presize.shrink(pixels))
    maps = activation_maps(run.network, torch.from_numpy(prepared).permute(2, 0, 1), class_indices)
    return [_place(heat, pixels.shape[0], pixels.shape[1], run.image_size, run.transforms.resize) for heat in maps]


def activation_maps(network: "Network", image: Tensor, class_indices: Sequence[int]) -> Heat:
    """Return how much each place of the network's map adds to the logits of some classes.

    Nothing of the network changes: its parameters get no gradients, each layer keeps its mode.

    Args:
        network: On any device; compiled or frozen as it may be.
        image: ``(3, H, W)``, values from 0 to 255.
        class_indices: Numbers of the K classes.

    Returns:
        ``(K, h, w)``; 0 where a place does not speak for the class or speaks against it.

    Raises:
        UserError: The backbone has no places that could be shown.
    """
    with evaluating(network):
        images = image[None].to(network.mean)
        features = network.features(images)
        if network.takes == "map":  # behind the last norm: before it, place times gradient is 0
            added = _added(network.classify, network.head_inputs(features), class_indices)
        elif getattr(network.backbone, "global_pool", None) == "token":
            tokens = _added_in_last_block(network, images, class_indices)
            # Without the other tokens, of which there are none yet where a backbone adds them behind these blocks.
            patches = as_map(network.backbone, features).shape[2]
            added = tokens[:, -patches:].transpose(1, 2).unsqueeze(-1)
        else:
            classify = lambda inputs: network.classify(network.head_inputs(inputs))  # noqa: E731
            added = as_map(network.backbone, _added(classify, features, class_indices))
        maps = added.sum(1).clamp(min=0).float()
        if features.ndim == 3:
            maps = maps.view(len(maps), *patch_grid(network.backbone, maps.shape[1], *image.shape[1:]))
    return maps.cpu().numpy()


def _added(classify: Callable[[Tensor], Tensor], inputs: Tensor, class_indices: Sequence[int]) -> Tensor:
    """Return inputs times the gradients of the logits, one row a class."""
    from captum.attr import InputXGradient

    method, inputs = InputXGradient(classify), inputs.detach().requires_grad_()
    return torch.cat([method.attribute(inputs, target=int(index)) for index in class_indices])


def _added_in_last_block(network: "Network", images: Tensor, class_indices: Sequence[int]) -> Tensor:
    """Return the same for the tokens ``(K, N, C)`` that the last block's attention gets.

    Behind it a head that takes the class token alone does not see the patches any more, and before its norm, which
    forgets the length of each token, token times gradient is 0.
    """
    from captum.attr import LayerGradientXActivation

    # Not the network's own call, which may be compiled: hooks do not work in there.
    method = LayerGradientXActivation(network.forward, _last_norm(network.backbone))
    images = images.detach().requires_grad_()  # so that a gradient is recorded where the whole backbone is frozen
    return torch.cat([method.attribute(images, target=int(index)) for index in class_indices])


def _last_norm(backbone: TimmModel) -> nn.Module:
    """Return the norm before the last block's attention."""
    try:
        norm: nn.Module = backbone.blocks[-1].norm1
    except (AttributeError, TypeError, IndexError) as error:
        raise UserError(
            f"{type(backbone).__name__} hands on a class token alone, and its last block is not where others have it: "
            "there are no places to show. Train with model.head=csra, which takes the patches."
        ) from error
    return norm


def _place(heat: Heat, height: int, width: int, side: int, resize: str) -> Heat:
    """Return a map of a prepared square in the coordinates of the image, as a share of its largest value.

    Args:
        heat: ``(h, w)``.
        height: Of the image, in pixels.
        width: Likewise.
        side: Of the prepared square.
        resize: How the image became the square: squish, crop or pad.
    """
    if resize == "squish":
        placed = _enlarged(heat, height, width)
    elif resize == "crop":
        middle = min(height, width)
        top, left = (height - middle) // 2, (width - middle) // 2
        placed = np.zeros((height, width), np.float32)
        placed[top : top + middle, left : left + middle] = _enlarged(heat, middle, middle)
    else:
        assert resize == "pad", resize
        scale = side / max(height, width)
        inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (side - inner_height) // 2, (side - inner_width) // 2
        inside = _enlarged(heat, side, side)[top : top + inner_height, left : left + inner_width]
        placed = _enlarged(inside, height, width)
    largest = float(placed.max())
    return placed / np.float32(largest) if largest > 0 else placed


def _enlarged(heat: Heat, height: int, width: int) -> Heat:
    return np.asarray(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
