"""From the config to objects: the only module below the commands that knows Hydra and its configs."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from polytag.commands import conf_dir
from polytag.data.files import require_files
from polytag.data.label_table import TRAIN, VAL, LabelTable
from polytag.data.split import assign_splits, checked_indexes, take_subset
from polytag.errors import UserError, did_you_mean
from polytag.run_folder import RunFolder, plain_values
from polytag.schedule.recipe import Recipe

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from polytag.models.classifier import Classifier
    from polytag.models.network import Network

HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}
# Arguments that the code passes and no config may.
PASSED_BY_CODE = {
    "model": {"num_classes", "classes"},
    "callbacks": {"recipe", "folder"},
    "trainer": {
        *("max_epochs", "callbacks", "logger", "plugins", "default_root_dir", "reload_dataloaders_every_n_epochs"),
        *("use_distributed_sampler", "num_sanity_val_steps", "enable_progress_bar", "enable_model_summary"),
    },
}


@dataclass(frozen=True)
class DataOptions:
    """The keys of conf/data/common.yaml: what every source understands and no source gets to see."""

    limit: int | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.0
    num_folds: int | None = None
    fold: int = 0
    val_indexes: Sequence[int] | None = None
    split_seed: int = 0
    on_missing: str = "error"
    on_broken: str = "error"
    batch_size: int = 32
    num_workers: int | None = None
    mirror: bool = True
    min_area: float = 0.35
    image_sizes: Sequence[int] = ()
    group_lr_div: Sequence[float] = ()
    overfit: int | None = None


COMMON_DATA_KEYS = {field.name for field in fields(DataOptions)}


def check_keys(config: DictConfig, command: str) -> None:
    """Refuse keys that nothing reads; Hydra itself checks the command line only, not experiment files.

    A node with a `_target_` may have the arguments of its target; the root and nodes without one the keys that
    `conf/<command>.yaml` and its defaults give them.

    Raises:
        UserError: A misspelt key or target, with the nearest known one.
    """
    plain = plain_values(config, resolve=False)
    with open(conf_dir() / f"{command}.yaml", encoding="utf-8") as file:
        primary = yaml.safe_load(file)
    groups = {str(key).removeprefix("optional ") for item in primary["defaults"] if item != "_self_" for key in item}
    _refuse_unknown("", plain, (set(primary) - {"defaults"}) | groups)
    for key, node in plain.items():
        if not isinstance(node, dict):
            continue
        if "_target_" in node:
            _check_node(key, node)
        elif key in ("callbacks", "logger", "metrics"):
            for name, child in node.items():
                if child is not None:
                    _check_listed(f"{key}.{name}", child)
        elif key == "paths":
            with open(conf_dir() / "paths" / "default.yaml", encoding="utf-8") as file:
                _refuse_unknown(key, node, yaml.safe_load(file))
        elif isinstance(primary.get(key), dict):
            _refuse_unknown(key, node, primary[key])


def _check_listed(path: str, node: Any) -> None:
    if not isinstance(node, dict) or "_target_" not in node:
        raise UserError(f"{path} needs a _target_: the class or function to call.")
    _check_node(path, node)


def _check_node(path: str, node: Mapping[str, Any]) -> None:
    """Check the keys of a node against its target's arguments, and those of the nodes in it."""
    target = str(node["_target_"])
    try:
        callable_ = get_object(target)
    except Exception as error:  # importing a user's own module may raise anything
        raise UserError(f"{path}._target_: {target} cannot be imported ({error}).") from error
    group = path.split(".")[0]
    parameters = inspect.signature(callable_).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        known = {p.name for p in parameters} - PASSED_BY_CODE.get(group, set())
        _refuse_unknown(path, node, known | HYDRA_KEYS | (COMMON_DATA_KEYS if path == "data" else set()))
    for key, child in node.items():
        if isinstance(child, dict) and "_target_" in child:
            _check_node(f"{path}.{key}", child)


def _refuse_unknown(path: str, node: Iterable[Any], known: Iterable[str]) -> None:
    listed = sorted(known)
    for key in node:
        if key not in listed:
            full = f"{path}.{key}" if path else str(key)
            there = ", ".join(listed)
            raise UserError(f"Nothing reads the key {full!r}.{did_you_mean(str(key), listed)} Known: {there}.")


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
    if OmegaConf.is_missing(data, "root"):
        raise UserError("data.root is not set: which folder holds the data? data.root=FOLDER")
    table = build({key: value for key, value in plain_values(data).items() if key not in COMMON_DATA_KEYS})
    assert isinstance(table, LabelTable)
    return table


def build_table(data: DictConfig) -> LabelTable:
    """Read the labels, see that the images are there and whole, take the subset, assign the splits."""
    options = data_options(data)
    source = build_source(data)
    table = require_files(source, options.on_missing, options.on_broken)
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


def build_recipe(config: DictConfig) -> Recipe:
    """Return the recipe, shortened where the config says so."""
    recipe = build(config.recipe)
    assert isinstance(recipe, Recipe)
    return recipe.shortened(config.max_epochs_per_phase)


def build_network(config: DictConfig, classes: Sequence[str]) -> "Network":
    """Return the network with its first weights."""
    network: Network = build(config.model, num_classes=len(classes), classes=list(classes))
    return network


def build_metrics(config: DictConfig) -> dict[str, Any]:
    """Return the scores by name."""
    return {str(name): build(node) for name, node in config.metrics.items() if node is not None}


def build_classifier(config: DictConfig, table: LabelTable, recipe: Recipe) -> "Classifier":
    """Return the module to train."""
    from polytag.models.classifier import Classifier
    from polytag.models.layer_groups import parameter_groups
    from polytag.policy import Policy

    network = build_network(config, table.classes)
    policy: Policy = build(config.policy)
    return Classifier(
        network,
        build(config.criterion),
        build(config.optimizer),
        parameter_groups(network),
        build_metrics(config),
        policy,
        config.monitor.metric,
        lambda epoch: checkpoint_facts(config, table, policy, recipe.phase_at(epoch).image_size),
    )


def checkpoint_facts(config: DictConfig, table: LabelTable, policy: Any, image_size: int) -> dict[str, Any]:
    """Return what a checkpoint says about itself, in plain values."""
    decoder = table.decoder
    return {
        "format": 1,
        "classes": list(table.classes),
        "image_size": image_size,
        "backbone": str(config.model.get("backbone", "")),
        "policy": policy.to_dict(table.classes),
        "decoder": {"bands": list(decoder.bands), "low": decoder.low, "high": decoder.high},
    }


def check_image_sizes(network: "Network", recipe: Recipe) -> None:
    """Refuse a recipe with an image size that the backbone cannot take, before the training instead of in it."""
    from polytag.models.backbone import check_image_size

    for size in recipe.image_sizes:
        check_image_size(network, size)


def absolute_paths(config: DictConfig) -> None:
    """Make the folder of the data absolute, so that the run can be evaluated from anywhere."""
    if not OmegaConf.is_missing(config.data, "root"):
        config.data.root = str(Path(config.data.root).expanduser().absolute())


def build_trainer(config: DictConfig, folder: RunFolder, recipe: Recipe, network: "Network") -> "pl.Trainer":
    """Return the trainer with our callbacks, the config's, and the loggers."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from polytag.callbacks.checkpoint import AtomicCheckpointIO

    loggers = [build(node) for node in config.logger.values() if node is not None]
    try:
        trainer: pl.Trainer = build(
            config.trainer,
            max_epochs=recipe.epochs,
            callbacks=_build_callbacks(config, folder, recipe, network),
            logger=loggers or False,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=str(folder.path),
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=_shows_bar(config),
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        raise UserError(f"The settings under `trainer` do not work here: {error} Try trainer=cpu.") from error
    return trainer


def check_monitor(config: DictConfig) -> None:
    """Refuse a monitored metric that nothing computes: found after the first epoch, it would cost that epoch.

    Raises:
        UserError: The metric's name, or a mode other than max and min.
    """
    known = ["val/loss", *(f"val/{name}" for name in config.metrics)]
    metric, mode = config.monitor.metric, config.monitor.mode
    if metric not in known:
        there = ", ".join(known)
        raise UserError(f"monitor.metric={metric} is not computed.{did_you_mean(metric, known)} Known: {there}.")
    if mode not in ("max", "min"):
        raise UserError(f"monitor.mode={mode} is neither max nor min.")


def _build_callbacks(config: DictConfig, folder: RunFolder, recipe: Recipe, network: "Network") -> list[Any]:
    """Return the callbacks in the order in which they must be called.

    Freezing, rates and seeding come first; then the config's; then those that close an epoch: the history's row, early
    stopping, and the checkpoint, which must hold what the two before it did.
    """
    from polytag.callbacks.checkpoint import RunCheckpoint
    from polytag.callbacks.early_stopping import EarlyStopping
    from polytag.callbacks.history import History
    from polytag.callbacks.seeding import Seeding
    from polytag.callbacks.timing import Timing
    from polytag.models.layer_groups import layer_groups
    from polytag.schedule.freeze import Freeze
    from polytag.schedule.group_lr import GroupLR

    chosen = [
        build(node, **_wanted(node, recipe=recipe, folder=folder))
        for node in config.callbacks.values()
        if node is not None
    ]
    last = (EarlyStopping, RunCheckpoint)
    return [
        Freeze(recipe, layer_groups(network)),
        GroupLR(recipe),
        Seeding(config.seed),
        *(callback for callback in chosen if not isinstance(callback, last)),
        Timing(),
        History(folder, recipe),
        *(callback for kind in last for callback in chosen if isinstance(callback, kind)),
    ]


def _wanted(node: DictConfig, **offered: Any) -> dict[str, Any]:
    """Return those of the offered arguments that the node's target takes."""
    parameters = inspect.signature(get_object(str(node["_target_"]))).parameters
    return {name: value for name, value in offered.items() if name in parameters}


def _shows_bar(config: DictConfig) -> bool:
    from rich.console import Console

    return Console().is_terminal and config.callbacks.get("progress") is not None
