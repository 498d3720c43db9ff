"""The feature cache: what a frozen backbone makes of each image, computed once, for the head to train on.

Keyed by the weights of the backbone and by the pixels that it sees, so another training of the same backbone on the
same images at the same size, as in a sweep over heads or rates, finds them computed.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polytag.data.array_store import ArrayStore, StoredArrays
from polytag.data.cache_folder import require_room
from polytag.data.images import Decoder
from polytag.data.label_table import LabelTable
from polytag.data.loaders import fixed_loader
from polytag.data.presize import VERSION, Presize
from polytag.data.resize_cache import LIBRARIES, ResizeCache
from polytag.data.transforms import Transforms
from polytag.inference.views import symmetry
from polytag.models.backbone import evaluating
from polytag.models.network import Network
from polytag.tracking.console import progress_bar

log = logging.getLogger(__name__)

SEGMENT = 2048  # images: what is lost at most when the machine fails while features are computed


@dataclass(frozen=True)
class Look:
    """How the backbone is shown the images.

    Attributes:
        transforms: Whose evaluation prepares them.
        presize: What they are shrunk to before.
        image_size: Side in pixels.
        views: 1, or the 8 symmetries of each image.
        precision: Lightning's name of the training's precision.
        autocast: Gives the context of a forward pass in that precision.
    """

    transforms: Transforms
    presize: Presize | None
    image_size: int
    views: int = 1
    precision: str = "32-true"
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class FeatureCache:
    """Features on disk, one store for each backbone and look.

    Attributes:
        folder: Where the stores are.
        limit_gb: How large the folder may become, in 10^9 bytes.
        images: The resize cache, where there is one.
        batch_size: Images at a time.
        num_workers: Loader processes; None for what suits the machine.
    """

    folder: Path
    limit_gb: float = 20.0
    images: ResizeCache | None = None
    batch_size: int = 32
    num_workers: int | None = None

    def fill(self, network: Network, table: LabelTable, look: Look) -> StoredArrays:
        """Return the features of a table's rows; those that are not stored are computed first.

        Returns:
            ``(views, ...)`` float32 of each row, each view what the network's head takes.

        Raises:
            UserError: There is no room for them, or an image cannot be read.
        """
        store = self._store(network, table.decoder, look)
        keys = table.keys()
        stored = store.find(keys)
        if not len(stored.missing):
            return stored
        with store.locked():
            rows = store.to_write(keys)  # another process may have stored some meanwhile
            if not len(rows):
                return store.find(keys)
            start = time.perf_counter()
            needed = 4.0 * _compute(network, torch.zeros(1, 3, look.image_size, look.image_size), look).numel()
            require_room(self.folder, needed * len(rows), self.limit_gb, "The features", "recipe.precompute=false")
            self._write(store, network, table, keys, rows, look)
            what = f"{len(rows):,} images" + (f", {look.views} views each," if look.views > 1 else "")
            took = time.perf_counter() - start
            log.info(f"Computed the features of {what} at {look.image_size} px in {took:.1f} s: {store.folder}")
            return store.find(keys)

    def _write(
        self,
        store: ArrayStore,
        network: Network,
        table: LabelTable,
        keys: list[bytes],
        rows: npt.NDArray[np.int64],
        look: Look,
    ) -> None:
        """Compute and store the features of rows, segment by segment, in their order."""
        with progress_bar() as progress:
            bar = progress.add_task(f"Computing features at {look.image_size} px", total=len(rows))
            for begin in range(0, len(rows), SEGMENT):
                part = rows[begin : begin + SEGMENT]
                with store.writing() as segment:
                    features = self._features(network, table.rows(part), look)
                    for row, one in zip(part.tolist(), features, strict=True):
                        segment.append(keys[row], one)
                        progress.advance(bar)

    def _features(self, network: Network, table: LabelTable, look: Look) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the features of each row."""
        augmentation = look.transforms.evaluation(look.image_size)
        loader = fixed_loader(table, augmentation, look.presize, self.batch_size, self.num_workers, cache=self.images)
        for batch in loader:
            yield from _compute(network, batch.images, look).float().cpu().numpy()

    def _store(self, network: Network, decoder: Decoder, look: Look) -> ArrayStore:
        shown = (VERSION, LIBRARIES, decoder, look.transforms, look.presize, look.image_size, look.views)
        seen_by = (network.backbone_name, network.takes, look.precision, weights_digest(network))
        name = hashlib.blake2b(repr((shown, seen_by)).encode(), digest_size=4).hexdigest()
        backbone = network.backbone_name.split(".")[0]
        return ArrayStore(self.folder / f"features_{look.image_size}px_{backbone}_{name}", np.float32)


def _compute(network: Network, images: Tensor, look: Look) -> Tensor:
    """Return what the head takes, ``(B, views, ...)``, of uint8 images ``(B, 3, H, W)``."""
    images = images.to(network.mean.device, non_blocking=True)
    with evaluating(network), look.autocast():
        shown = [images if view == 0 else symmetry(images, view // 2, bool(view % 2)) for view in range(look.views)]
        return torch.stack([network.head_inputs(network.features(some)) for some in shown], dim=1)


def weights_digest(network: Network) -> str:
    """Return a hash of everything that turns pixels into features: weights, running statistics, normalisation."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in {**network.backbone.state_dict(), "mean": network.mean, "std": network.std}.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
