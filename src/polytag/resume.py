"""Going on with a run that was stopped."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from polytag.commands import conf_dir
from polytag.errors import UserError, first_few
from polytag.run_folder import RunFolder, plain_values

if TYPE_CHECKING:
    from polytag.data.label_table import LabelTable
    from polytag.models.classifier import Classifier

log = logging.getLogger(__name__)

# What may differ between the parts of a run: it changes neither samples nor weights.
FREE = (
    *("paths", "logger", "tags", "notes", "print_config", "report", "train", "test"),
    *("sweep", "resume", "allow_changes"),
    *("dry_run", "data.root", "data.num_workers", "data.download"),  # the labels themselves are compared
    *("data.cache", "data.cache_gb", "data.cache_key"),
    *("data.shard_cache", "data.shard_cache_gb", "data.storage_options"),
    *("callbacks.progress", "callbacks.stopping"),
    *("callbacks.checkpoint.every_minutes", "trainer.accelerator", "trainer.devices", "trainer.num_nodes"),
    *("trainer.strategy", "trainer.profiler", "trainer.log_every_n_steps"),
)
SCALES = ("linear", "sqrt")  # rules of lr_scale
# Default groups of conf/train.yaml that are no part of a run's config.
NOT_STORED = ("paths", "hydra", "sweep", "launcher", "experiment", "local", "debug")


def take_config_from_run(overrides: Sequence[str]) -> list[str]:
    """For `resume=DIR`, return the overrides that make Hydra compose the config of the run in DIR.

    Each group gets an option `from_run` with the run's values, and so do the values at the root; what stands on the
    command line comes on top of them.

    Raises:
        UserError: There is no run, or the command names things that a run that goes on cannot change.
    """
    given = {str(o.key_or_group): o for o in OverridesParser.create().parse_overrides(list(overrides))}
    if "resume" not in given or given["resume"].value() is None:
        return []
    if {"-m", "--multirun"} & set(sys.argv):
        raise UserError("resume=DIR goes on with one run: leave out -m.")
    for key in ("sweep", "experiment", "debug", "hydra.run.dir"):
        if key in given:
            raise UserError(f"resume=DIR takes everything from the run folder: leave out {key}=.")
    folder = RunFolder.existing(str(given["resume"].value()))
    stored = folder.read_config()
    with open(conf_dir() / "train.yaml", encoding="utf-8") as file:
        defaults = yaml.safe_load(file)["defaults"]
    groups = [str(key) for item in defaults if item != "_self_" for key in item]
    groups = [group for group in groups if group.removeprefix("optional ") not in NOT_STORED and group in stored]
    store = ConfigStore.instance()
    for group in groups:
        store.store(group=group, name="from_run", node=stored[group])
    left_out = ("paths", "resume", "allow_changes", "sweep")  # a job of a sweep goes on as a run of its own
    own = {key: stored[key] for key in stored if key not in (*groups, *left_out)}
    store.store(group="experiment", name="from_run", node=own, package="_global_")
    store.store(group="local", name="from_run", node={})  # what the machine's own file says is in the run's values
    chosen = [f"{group}=from_run" for group in (*groups, "experiment", "local") if group not in given]
    path = str(folder.path.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    return [*chosen, f"hydra.run.dir='{path}'"]


def checkpoint_to_resume(folder: RunFolder, config: DictConfig) -> Path | None:
    """Return the checkpoint that an unfinished run goes on from, or None for a run that starts.

    That is `last.ckpt`; were it damaged, the furthest of the others.

    Raises:
        UserError: The folder holds a run with another config; the differences are shown.
    """
    if not folder.config_file.exists():
        return None
    refuse_changes(folder, config)
    last = folder.checkpoint("last")
    if _steps(last) is not None:
        return last
    others = {file: steps for file in last.parent.glob("*.ckpt") if (steps := _steps(file)) is not None}
    if not others:
        return None
    furthest = max(others, key=lambda file: others[file])
    log.warning(f"{last} is missing or damaged: going on from {furthest.name} instead.")
    return furthest


def seconds_until(checkpoint: Path) -> float:
    """Return the wall time that a run had taken when it wrote a checkpoint, with that before earlier interruptions."""
    from polytag.inference.loaded_run import read_checkpoint

    timing = read_checkpoint(checkpoint).get("callbacks", {}).get("Timing", {})
    return float(timing.get("elapsed", 0.0))


def _steps(file: Path) -> int | None:
    """Return the optimizer steps of a checkpoint, or None where it is missing or damaged."""
    from polytag.inference.loaded_run import read_checkpoint

    try:
        return int(read_checkpoint(file)["global_step"]) if file.exists() else None
    except UserError:
        return None


def refuse_changes(folder: RunFolder, config: DictConfig) -> None:
    """Raise where a folder's run has other settings than those that are asked for: its scores would not be theirs.

    Raises:
        UserError: The differences, unless `allow_changes=true`; then they are only shown.
    """
    changed = differences(folder.read_config(), config)
    if changed and config.allow_changes and not folder.is_finished:
        log.warning(f"Going on with other settings, as allow_changes says: {first_few(changed, 20)}.")
    elif changed:
        raise UserError(
            f"{folder.path} holds {'a finished' if folder.is_finished else 'an unfinished'} run with other settings: "
            f"{first_few(changed)}. Give its own command, or another hydra.run.dir (in a sweep: sweep.name) to start "
            "anew." + ("" if folder.is_finished else " To go on with the new settings all the same: allow_changes=true")
        )


def refuse_other_data(checkpoint: Path, table: "LabelTable", allow_changes: bool) -> None:
    """Raise where a checkpoint was trained on other labels than those that are there now.

    Raises:
        UserError: Other classes, which no checkpoint fits; or other images or labels, unless changes are allowed.
    """
    from polytag.inference.loaded_run import read_checkpoint

    facts = read_checkpoint(checkpoint)["polytag"]
    if facts["classes"] != list(table.classes):
        raise UserError(
            f"The run was trained for the classes {first_few(facts['classes'], 20)}, and the data has "
            f"{first_few(table.classes, 20)}. Start a new run; its layers: model.weights=run:{checkpoint.parents[1]}"
        )
    if facts["data"] != table.fingerprint() and not allow_changes:
        raise UserError(
            "The images, their labels or their split are not those that the run started with. Bring them back, or "
            "start a new run. To go on with what is there now: allow_changes=true"
        )


def refuse_other_network(checkpoint: Path, classifier: "Classifier") -> None:
    """Raise where the weights or the optimizer's state of a checkpoint have no place in the classifier.

    Raises:
        UserError: What does not fit.
    """
    from polytag.inference.loaded_run import read_checkpoint

    content = read_checkpoint(checkpoint)
    here = {name: tuple(tensor.shape) for name, tensor in classifier.state_dict().items()}
    there = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    groups = [str(group["name"]) for group in classifier.configure_optimizers().param_groups]
    saved = [str(group["name"]) for group in content["optimizer_states"][0]["param_groups"]]
    unfit = [name for name in dict.fromkeys([*there, *here]) if there.get(name) != here.get(name)]
    if unfit or groups != saved:
        what = first_few(unfit) or f"layer groups {first_few(dict.fromkeys(saved), 20)}"
        raise UserError(
            f"{checkpoint} does not fit the network that is asked for ({what}): no run goes on with another network. "
            f"Start a new one; model.weights=run:{checkpoint.parents[1]} takes the weights of the same backbone."
        )


def differences(old: DictConfig, new: DictConfig) -> list[str]:
    """Return `key: old -> new` of each value that differs, apart from those that a run may change.

    A value that is asked for as `auto`, or by a rule, is the one that was found when the run started. Of a node that is
    another function or class now, such as another recipe, the names of both are enough.
    """
    before, after = (_flat(plain_values(config)) for config in (old, new))
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    replaced = [key.removesuffix("._target_") for key in keys if key.endswith("._target_")]
    lines = []
    for key in keys:
        node = key.removesuffix("._target_")
        if after.get(key) == "auto" or (key == "lr_scale" and after[key] in SCALES) or _is_in(key, FREE):
            continue
        if _is_in(node, [name for name in replaced if name != node]):
            continue
        if node in replaced:
            names = [str(config.get(f"{node}._target_")).rpartition(".")[2] for config in (before, after)]
            lines.append(f"{node}: {names[0]} -> {names[1]}")
        else:
            lines.append(f"{key}: {before.get(key)} -> {after.get(key)}")
    return lines


def settings_that_matter(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a config by their full names, without those that may change within a run."""
    return {key: value for key, value in _flat(dict(values)).items() if not _is_in(key, FREE)}


def _is_in(key: str, nodes: Sequence[str]) -> bool:
    """Whether a key is one of the nodes, or inside one."""
    return any(key == node or key.startswith(f"{node}.") for node in nodes)


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
