"""A run read back from its folder: network, classes, policy, preprocessing."""

import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig

from polytag import build
from polytag.callbacks.checkpoint import AtomicCheckpointIO
from polytag.data import presize as preprocessing
from polytag.data.images import Decoder
from polytag.data.label_table import LabelTable
from polytag.data.loaders import evaluation_loader
from polytag.data.resize_cache import ResizeCache
from polytag.data.transforms import Transforms
from polytag.errors import UserError, first_few
from polytag.inference.predictor import choose_device, predict_probabilities
from polytag.inference.tta import NoTTA
from polytag.inference.views import TTA, check_views
from polytag.models.activations import SIGMOID, Activation
from polytag.models.classifier import Classifier, network_weights
from polytag.models.network import Network
from polytag.policy import Policy
from polytag.policy.search import Search, stand_in
from polytag.policy.stored import policy_from_dict, read_policy
from polytag.run_folder import RunFolder, read_predictions
from polytag.schedule.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedRun:
    """What a run's folder holds, ready to use.

    Attributes:
        folder: The run folder.
        config: The run's config.
        network: uint8 images ``(B, 3, H, W)`` -> logits ``(B, L)``, in eval mode, with the checkpoint's weights.
        activation: How logits become probabilities.
        classes: Names of the L classes.
        policy: How probabilities become labels.
        transforms: The transform group; its `evaluation` is what the network was validated with.
        image_size: Side in pixels that the checkpoint was validated at.
        decoder: How files become RGB.
    """

    folder: RunFolder
    config: DictConfig
    network: Network
    activation: Activation
    classes: tuple[str, ...]
    policy: Policy
    transforms: Transforms
    image_size: int
    decoder: Decoder

    def predict(
        self,
        table: LabelTable,
        *,
        tta: TTA | None = None,
        device: torch.device | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        cache: ResizeCache | None = None,
        title: str | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return the ``(N, L)`` probabilities of the images of a table.

        Args:
            table: The N images.
            tta: The views of each image, whose probabilities are averaged; None for the plain one, as in validation.
            device: Where to compute; None for a GPU where there is one.
            batch_size: Images at a time.
            num_workers: Loader processes; None for what suits the machine.
            cache: Where shrunken images may be found.
            title: Text before the progress bar; none is shown without it.

        Raises:
            UserError: The network cannot take the views.
        """
        views, precision = tta or NoTTA(), str(self.config.trainer.precision)
        check_views(views, self.network, self.transforms, self.image_size)
        passes = views.passes(self.transforms, self.image_size)
        total = np.zeros((len(table), len(self.classes)))
        for number, part in enumerate(passes, 1):
            total += predict_probabilities(
                self.network,
                evaluation_loader(table, part.transforms, part.image_size, batch_size, num_workers, cache=cache),
                device or choose_device(),
                activation=self.activation,
                views=part.views,
                precision=precision,
                title=f"{title} {number}/{len(passes)}" if title and len(passes) > 1 else title,
            )
        return total.astype(np.float32)

    def predictions(self, split: str = "val") -> dict[str, Any]:
        """Return what the run wrote about a split: names, and ``(N, L)`` probabilities and targets."""
        stored = read_predictions(self.folder.predictions(split))
        return {"image": stored.names.tolist(), "probabilities": stored.probabilities, "targets": stored.targets}

    def export(self, file: str | Path, overwrite: bool = False) -> None:
        """Write the run as one `torch.export` program, from prepared images to labels; see docs/evaluation.md.

        Args:
            file: Where to; torch's own suffix is `.pt2`.
            overwrite: Whether a file that is there may be replaced.

        Raises:
            UserError: The file is there, or the policy is none of Polytag's.
        """
        from polytag.inference.export import export_run

        export_run(self, file, overwrite)


def load_run(path: str | Path, checkpoint: str = "best", policy: Policy | None = None) -> LoadedRun:
    """Read a run back.

    Args:
        path: The run folder.
        checkpoint: `best`, `last`, `phase_<k>` or a file.
        policy: Instead of the run's own.

    Raises:
        UserError: No run there, no such checkpoint, or a checkpoint of another network or class list.
    """
    folder = RunFolder.existing(path)
    config = folder.read_config()
    file = folder.find_checkpoint(checkpoint)
    content = read_checkpoint(file)
    facts = content["polytag"]
    offline = config.model.copy()
    offline.weights = "none"
    network: Network = build.build(offline, num_classes=len(facts["classes"]), classes=facts["classes"])
    weights = network_weights(content["state_dict"])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = first_few(line.strip() for line in str(error).splitlines()[1:])
        raise UserError(f"The checkpoint {file} does not fit the network of {folder.path}: {reason}") from error
    _check_classes(folder, file, facts["classes"])
    if (then := facts.get("preprocessing", 1)) != preprocessing.VERSION:
        log.warning(
            f"{file} was trained when images were decoded and shrunk in another way (version {then}, now "
            f"{preprocessing.VERSION}): its scores may come out a little different."
        )
    return LoadedRun(
        folder=folder,
        config=config,
        network=network.eval(),
        activation=Activation.from_dict(facts["activation"]) if "activation" in facts else SIGMOID,
        classes=tuple(facts["classes"]),
        policy=policy or _stored_policy(folder, config, facts),
        transforms=build.build(config.transforms),
        image_size=int(facts["image_size"]),
        decoder=Decoder(tuple(facts["decoder"]["bands"]), facts["decoder"]["low"], facts["decoder"]["high"]),
    )


def untrained_run(
    config: DictConfig, folder: RunFolder, table: LabelTable, classifier: Classifier, recipe: Recipe
) -> LoadedRun:
    """Return a network that has not been trained as a run, to score it as it is (`train=false`)."""
    return LoadedRun(
        folder=folder,
        config=config,
        network=classifier.network,
        activation=classifier.activation,
        classes=table.classes,
        policy=stand_in(build.build_policy(config.policy, table.classes, config.data)),
        transforms=build.build(config.transforms),
        image_size=recipe.phases[-1].image_size,
        decoder=table.decoder,
    )


def _stored_policy(folder: RunFolder, config: DictConfig, facts: Mapping[str, Any]) -> Policy:
    """Return the policy of a checkpoint. Of searched thresholds only `best.ckpt` has its own; others take these."""
    classes = tuple(facts["classes"])
    asked = build.build_policy(config.policy, classes, config.data)
    if not isinstance(asked, Search):
        return asked
    if facts.get("policy_was_found"):
        return policy_from_dict(facts["policy"], classes)
    if folder.policy_file.exists():
        log.info("This checkpoint has no thresholds of its own: those of the best stand in, where none are searched.")
        return read_policy(folder.policy_file, classes)
    log.warning(f"policy={asked.kind} searches thresholds when the training ends, and it has not: 0.5 stands in.")
    return asked.stand_in


def store_policy(folder: RunFolder, policy: Policy, classes: Sequence[str]) -> None:
    """Write a policy that was found into the best checkpoint."""
    file = folder.checkpoint("best")
    content = read_checkpoint(file)
    content["polytag"] |= {"policy": policy.to_dict(classes), "policy_was_found": True}
    AtomicCheckpointIO().save_checkpoint(content, file)


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, tensors and plain values only.

    Raises:
        UserError: The file is damaged, or not ours.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise UserError(
            f"The checkpoint {file} cannot be read ({str(error).splitlines()[0]}). Choose another: checkpoint=last."
        ) from error
    if not isinstance(content, dict) or "polytag" not in content or "state_dict" not in content:
        raise UserError(f"{file} is not a checkpoint of Polytag. To start from its weights: train model.weights={file}")
    return content


def _check_classes(folder: RunFolder, file: Path, classes: list[str]) -> None:
    """Refuse a checkpoint from elsewhere whose classes are not those of the run."""
    if file.parent == folder.path / "checkpoints":
        return
    own = read_checkpoint(folder.find_checkpoint("last"))["polytag"]["classes"]
    if own != classes:
        raise UserError(
            f"The checkpoint {file} is of other classes ({first_few(classes)}) than the run {folder.path} "
            f"({first_few(own)}). Name the run folder that it came from."
        )
