"""From the config to objects. Below the commands only this, `build_trainer` and `check_config` know Hydra."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from polytag.data import presize as preprocessing
from polytag.data.files import require_files
from polytag.data.label_table import TRAIN, VAL, LabelTable
from polytag.data.options import COMMON_DATA_KEYS, DataOptions
from polytag.data.sampling import check_sampling
from polytag.data.split import assign_splits, checked_indexes, take_subset
from polytag.data.storage import FILES, absolute
from polytag.errors import UserError
from polytag.run_folder import plain_values
from polytag.schedule.recipe import Recipe

log = logging.getLogger(__name__)

FEW_IMAGES = 50  # to search thresholds on

if TYPE_CHECKING:
    from polytag.data.mixing import Mixing
    from polytag.data.resize_cache import ResizeCache
    from polytag.data.transforms import Transforms
    from polytag.inference.views import TTA
    from polytag.models.classifier import Classifier
    from polytag.models.feature_cache import FeatureCache
    from polytag.models.network import Network
    from polytag.policy import Policy
    from polytag.policy.search import Search


def build(node: Any, **arguments: Any) -> Any:
    """Call the target of a config node; a mistake of the user's comes out as itself, not wrapped.

    Arguments from the code are passed past Hydra, which would turn dataclasses among them into configs.
    """
    try:
        if not arguments:
            return instantiate(node, _convert_="all")
        return instantiate(node, _partial_=True, _convert_="all")(**arguments)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        raise


def data_options(data: DictConfig) -> DataOptions:
    """Return the common part of a data config."""
    plain = plain_values(data)
    return DataOptions(**{key: plain[key] for key in COMMON_DATA_KEYS if key in plain})


def build_source(data: DictConfig) -> LabelTable:
    """Read the labels of a data config. Whether the images exist is not looked at yet."""
    if OmegaConf.is_missing(data, "root") or data.root is None:
        raise UserError("data.root is not set: which folder holds the data? data.root=FOLDER")
    table = build({key: value for key, value in plain_values(data).items() if key not in COMMON_DATA_KEYS})
    assert isinstance(table, LabelTable)
    return table


def build_table(data: DictConfig) -> LabelTable:
    """Read the labels, see that the images are there and whole, take the subset, assign the splits."""
    options = data_options(data)
    source = build_source(data)
    check_sampling(options.sampling, source)
    table = source
    if source.storage == FILES:  # shards have been looked at as a whole
        table = require_files(source, options.on_missing, options.on_broken)
    elif "drop" in (options.on_missing, options.on_broken):
        raise UserError(f"data.on_missing=drop and data.on_broken=drop are for files. {source.storage.cure}")
    table = take_subset(table, options.limit, options.split_seed)
    val_rows = None
    if options.val_indexes is not None:  # they count the rows of the source, some of which may be left out by now
        wanted = source.paths[checked_indexes(source, options.val_indexes)]
        val_rows = np.flatnonzero(np.isin(table.paths, wanted)).tolist()
    table = assign_splits(
        table,
        val_fraction=options.val_fraction,
        test_fraction=options.test_fraction,
        num_folds=options.num_folds,
        fold=options.fold,
        val_indexes=val_rows,
        seed=options.split_seed,
    )
    return table if options.overfit is None else _same_rows_twice(table, options.overfit)


def _same_rows_twice(table: LabelTable, count: int) -> LabelTable:
    """Return the first training rows, once to train and once to validate."""
    rows = np.flatnonzero(table.split == TRAIN)[:count]
    both = table.rows(np.concatenate([rows, rows]))
    return replace(both, split=np.array([TRAIN] * len(rows) + [VAL] * len(rows)))


def build_cache(config: DictConfig) -> "ResizeCache | None":
    """Return the resize cache, or None where it is off."""
    from polytag.data.resize_cache import ResizeCache

    options = data_options(config.data)
    if options.cache not in (True, False, "auto"):
        raise UserError(f"data.cache={options.cache} is none of true, false, auto.")
    return ResizeCache(_cache_folder(config), options.cache_gb, options.cache_key) if options.cache else None


def build_feature_cache(config: DictConfig) -> "FeatureCache":
    """Return the feature cache."""
    from polytag.models.feature_cache import FeatureCache

    options = data_options(config.data)
    images = build_cache(config)
    return FeatureCache(_cache_folder(config), options.cache_gb, images, options.batch_size, options.num_workers)


def _cache_folder(config: DictConfig) -> Path:
    return Path(config.paths.cache).expanduser().absolute()


def check_optimizer(config: DictConfig) -> None:
    """Refuse a fused optimizer where gradients must be clipped between unscaling them and the step.

    Raises:
        UserError: What to set.
    """
    if config.optimizer.get("fused") and config.trainer.gradient_clip_val and config.trainer.precision == "16-mixed":
        raise UserError(
            "trainer.precision=16-mixed with trainer.gradient_clip_val needs optimizer.fused=false: a fused optimizer "
            "unscales the gradients itself, and then it is too late to clip them."
        )


def check_precompute(recipe: Recipe, transforms: "Transforms", mixing: "Mixing") -> None:
    """Refuse precomputed features where the training would not see the same images each epoch.

    Raises:
        UserError: What to switch off.
    """
    for number, phase in enumerate(recipe.phases):
        if not phase.precompute:
            continue
        own, views = phase.transforms or transforms, (phase.transforms or transforms).views
        without = "or compute them in each epoch: recipe.precompute=false"
        if mixing.is_on:
            raise UserError(f"Features cannot be computed once where images are mixed: mixing=none, {without}")
        if views == 0:
            raise UserError(
                f"Phase {number} sees each image differently in each epoch ({type(own).__name__}), so its features "
                f"cannot be computed once: transforms=none, or recipe.views=8 with transforms=dihedral transforms.p=0, "
                f"{without}"
            )
        if views != phase.views:
            raise UserError(
                f"Phase {number} trains on {views} view{'s' * (views > 1)} of each image ({type(own).__name__}): "
                f"recipe.views={views} instead of {phase.views}, {without}"
            )


def build_recipe(config: DictConfig) -> Recipe:
    """Return the recipe, shortened where the config says so.

    Raises:
        UserError: It makes no sense; `auto` must be a number by now.
    """
    lr = config.recipe.get("lr")
    if isinstance(lr, str):
        raise UserError(f"recipe.lr={lr} is neither a number nor auto.")
    recipe = build(config.recipe)
    assert isinstance(recipe, Recipe)
    return recipe.shortened(config.max_epochs_per_phase)


def build_network(config: DictConfig, classes: Sequence[str]) -> "Network":
    """Return the network with its first weights."""
    network: Network = build(config.model, num_classes=len(classes), classes=list(classes))
    return network


def build_criterion(config: DictConfig, table: LabelTable) -> Any:
    """Return the loss, told what it asks for about the data: `classes`, `train_targets` (``(M, L)`` int8)."""
    offered = {"classes": table.classes, "train_targets": table.part(TRAIN).targets}
    return build(config.criterion, **wanted(config.criterion, **offered))


def wanted(node: DictConfig, **offered: Any) -> dict[str, Any]:
    """Return those of the offered arguments that the node's target takes."""
    parameters = inspect.signature(get_object(str(node["_target_"]))).parameters
    return {name: value for name, value in offered.items() if name in parameters}


def build_policy(node: DictConfig, classes: Sequence[str], data: DictConfig) -> "Policy | Search":
    """Return a policy or the search for one; its config may refer to the data's, also in a command without data."""
    groups = data.get("exclusive_groups") or []  # runs from before there was the key have none
    resolved = OmegaConf.create({"policy": node, "data": {**plain_values(data), "exclusive_groups": groups}}).policy
    asked: Policy | Search = build(resolved, **wanted(node, classes=tuple(classes)))
    return asked


def is_same(one: DictConfig, other: DictConfig) -> bool:
    """Whether two nodes say the same; their interpolations are not resolved."""
    return plain_values(one, resolve=False) == plain_values(other, resolve=False)


def check_parts(config: DictConfig, table: LabelTable, network: "Network", criterion: object, recipe: Recipe) -> None:
    """Refuse parts that do not go together; each may be fine by itself.

    Raises:
        UserError: What does not fit, and what to do.
    """
    check_groups(network, recipe)
    check_optimizer(config)
    check_precompute(recipe, build(config.transforms), build(config.mixing))
    check_policy(config, table, criterion)


def check_policy(config: DictConfig, table: LabelTable, criterion: object) -> None:
    """Refuse a search for thresholds that would have nothing to search on when the training is over.

    What may be meant otherwise is only said: labels or a loss that the policy does not fit.

    Raises:
        UserError: What to do.
    """
    from polytag.policy.advice import advise
    from polytag.policy.fixed import FixedPolicy
    from polytag.policy.search import Search

    asked = build_policy(config.policy, table.classes, config.data)
    for line in advise(asked, table.part(VAL).targets, table.classes):
        log.warning(line)
    if isinstance(asked, Search) and not table.part(VAL).positives.any():
        raise UserError(
            f"policy={asked.kind} searches thresholds on the validation images, and none of them has a label: choose "
            "policy=fixed, or let some validate (data.val_fraction=0.2)."
        )
    if isinstance(asked, Search) and (images := len(table.part(VAL))) < FEW_IMAGES:
        log.warning(f"policy={asked.kind} will search on {images} images: what fits so few may fit no others.")
    if getattr(criterion, "only_ranks", False) and isinstance(asked, FixedPolicy):
        log.warning(
            f"criterion={type(criterion).__name__} only ranks: {asked.threshold} means nothing to it. Choose "
            "policy=per_class, or another that is searched."
        )


def build_metrics(config: DictConfig) -> dict[str, Any]:
    """Return the scores by name, each tried once: a wrong setting is found before a training, not after an epoch.

    Raises:
        UserError: The setting.
    """
    import torch

    from polytag.metrics.evaluation import Evaluation

    metrics = {str(name): build(node) for name, node in config.metrics.items() if node is not None}
    truth = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.int8)
    for name, score in metrics.items():
        try:
            score(Evaluation(truth.float(), truth, truth == 1))
        except UserError as error:
            raise UserError(f"metrics.{name}: {error}") from error
    return metrics


def build_classifier(config: DictConfig, table: LabelTable, recipe: Recipe) -> "Classifier":
    """Return the module to train."""
    from polytag.models.activations import activation_of
    from polytag.models.classifier import Classifier
    from polytag.models.layer_groups import parameter_groups
    from polytag.models.network import compile_network
    from polytag.policy.search import stand_in

    network = build_network(config, table.classes)
    if config.compile:
        compile_network(network)
    policy = stand_in(build_policy(config.policy, table.classes, config.data))
    criterion = build_criterion(config, table)
    facts = checkpoint_facts(config, table, policy, activation_of(criterion))
    return Classifier(
        network,
        criterion,
        build(config.optimizer),
        parameter_groups(network),
        build_metrics(config),
        policy,
        config.monitor.metric,
        lambda epoch: facts | {"image_size": recipe.phase_at(epoch).image_size},
        build(config.mixing),
    )


def checkpoint_facts(config: DictConfig, table: LabelTable, policy: Any, activation: Any) -> dict[str, Any]:
    """Return what a checkpoint says about itself besides its image size, in plain values."""
    decoder = table.decoder
    return {
        "format": 1,
        "classes": list(table.classes),
        "data": table.fingerprint(),
        "backbone": str(config.model.get("backbone", "")),
        "policy": policy.to_dict(table.classes),
        "activation": activation.to_dict(),
        "preprocessing": preprocessing.VERSION,
        "decoder": {"bands": list(decoder.bands), "low": decoder.low, "high": decoder.high},
    }


def check_groups(network: "Network", recipe: Recipe) -> None:
    """Refuse a recipe for other layer groups than the network has.

    Raises:
        UserError: The groups of both.
    """
    from polytag.models.layer_groups import layer_groups

    there, wanted = tuple(layer_groups(network)), recipe.groups
    if there != wanted:
        raise UserError(
            f"The recipe is for the layer groups {', '.join(wanted)}, and the network has {', '.join(there)}: "
            f"leave out recipe.groups, or set model.layer_groups={len(wanted)} too."
        )


def check_image_sizes(network: "Network", recipe: Recipe) -> None:
    """Refuse a recipe with an image size that the backbone cannot take, before the training instead of in it."""
    from polytag.models.backbone import check_image_size

    for size in recipe.image_sizes:
        check_image_size(network, size)


def build_tta(tta: DictConfig, data: DictConfig) -> "TTA":
    """Return a test-time augmentation; its config may refer to the data's, also in a command without data."""
    augmentation: TTA = build(OmegaConf.create({"tta": tta, "data": data}).tta)
    return augmentation


def check_tta(config: DictConfig, network: "Network", recipe: Recipe) -> None:
    """Refuse a test-time augmentation that would fail in the end, at whichever size the best checkpoint has."""
    from polytag.inference.views import check_views

    tta = build_tta(config.tta, config.data)
    for size in recipe.image_sizes:
        check_views(tta, network, build(config.transforms), size)


def absolute_paths(config: DictConfig) -> None:
    """Make the folders of the data absolute, so that the run can be evaluated from anywhere."""
    for key in ("root", "shard_cache"):
        if key in config.data and not OmegaConf.is_missing(config.data, key) and config.data[key] is not None:
            config.data[key] = absolute(str(config.data[key]))
