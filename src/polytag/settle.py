"""`auto` in a config becomes a plain value: measured before the training, and written into the run's `config.yaml`.

The value is that of the first start: a run that goes on, the other processes of a run, and the other jobs of a sweep
take it from there instead of measuring anew, because theirs might come out differently.
"""

import copy
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from polytag.errors import UserError
from polytag.preflight import device_count
from polytag.run_folder import RunFolder, write_atomically

if TYPE_CHECKING:
    from polytag.data.label_table import LabelTable
    from polytag.phase_costs import Cost

log = logging.getLogger(__name__)

ROUNDS = 2  # of measuring each choice, in turn; the fastest counts
LEAST = 10.0  # seconds a phase: about what compiling takes, so for less it is not tried
AFTER_A_KILL = (
    "Was a process killed while it compiled, TORCHINDUCTOR_CACHE_DIR=FOLDER helps: another place for its files."
)
SWEEP_FILE = "settled.yaml"


def settle_lr_scale(config: DictConfig, folder: RunFolder) -> float:
    """Return the factor on the recipe's rates, and write it into the config in place of a rule.

    A rule goes by the number of processes at the first start: a run that goes on with more or less of them keeps it.

    Raises:
        UserError: Neither a number above 0 nor a rule.
    """
    rule, ranks = config.lr_scale, device_count(config.trainer) * int(config.trainer.num_nodes)
    factors = {"linear": float(ranks), "sqrt": math.sqrt(ranks)}
    if rule in factors and not config.dry_run and folder.config_file.exists():
        config.lr_scale = folder.read_config().lr_scale
    elif rule in factors:
        config.lr_scale = factors[rule]
        log.info(f"The recipe's rates are multiplied by {config.lr_scale:g}: lr_scale={rule}, processes: {ranks}.")
    if not isinstance(config.lr_scale, int | float) or not config.lr_scale > 0:
        raise UserError(f"lr_scale={rule} is neither a number above 0, nor linear, nor sqrt.")
    return float(config.lr_scale)


def settle(config: DictConfig, table: "LabelTable", folder: RunFolder) -> None:
    """Replace each `auto` of a config by a value: that of the run's first start or of its sweep, else a measured one.

    Raises:
        UserError: A measurement cannot be made.
    """
    asked = [key for key in CHOICES if OmegaConf.select(config, key) == "auto"]
    if not asked:
        return
    if not config.dry_run and folder.config_file.exists():
        stored = folder.read_config()
        values: dict[str, Any] = {key: OmegaConf.select(stored, key) for key in asked}
        for key, value in values.items():
            OmegaConf.update(config, key, value)
        return
    with decided_in_sweep(config) as decided:
        for key in asked:
            if key in decided:
                log.info(f"{key}={decided[key]}, as the first job of the sweep has found.")
            else:
                decided[key] = CHOICES[key](config, table, folder.path)
            OmegaConf.update(config, key, decided[key])


@contextmanager
def decided_in_sweep(config: DictConfig) -> Iterator[dict[str, Any]]:
    """Yield what the jobs of this sweep have settled, to be added to; other jobs wait. Outside of a sweep: nothing."""
    from filelock import FileLock

    if config.sweep.ledger is not None:
        folder = Path(config.sweep.ledger).parent
    elif HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:  # of another sweeper
        folder = Path(HydraConfig.get().sweep.dir)
    else:
        yield {}
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{SWEEP_FILE}.lock"):
        file = folder / SWEEP_FILE
        decided = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        yield decided
        write_atomically(file, yaml.safe_dump(decided))


def fastest_precision(config: DictConfig, table: "LabelTable", folder: Path) -> str:
    """Return the precision in which the recipe takes the least time here."""
    choices = [{"trainer.precision": name} for name in precisions(config)]
    seconds = [sum(cost.seconds for cost in costs) for costs in measured(config, table, folder, choices)]
    best: str = choices[seconds.index(min(seconds))]["trainer.precision"]
    log.info(f"trainer.precision={best}: {_listed(choices, seconds)}.")
    return best


def precisions(config: DictConfig) -> list[str]:
    """Return the precisions worth trying on the device of a config: 32 bits and the 16 that it has."""
    import torch

    from polytag.build_trainer import build_compute

    trainer = OmegaConf.merge(config.trainer, {"precision": "32-true"})
    assert isinstance(trainer, DictConfig)
    device = build_compute(trainer).device.type
    if device == "mps":
        return ["32-true"]
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return ["32-true", "16-mixed"]
    return ["32-true", "bf16-mixed"]


def whether_to_compile(config: DictConfig, table: "LabelTable", folder: Path) -> bool:
    """Whether the recipe takes less time compiled, with the time for compiling each phase counted.

    The phase that takes longest is compiled; the others are taken to gain as much, and to need as long.
    """
    plain = measured(config, table, folder, [{"compile": False}])[0]
    total = sum(cost.seconds for cost in plain)
    if total < LEAST * len(plain):
        log.info(f"compile=false: about {total:.0f} s as it is, too little for compiling to pay.")
        return False
    log.info("Measuring compile=true; compiling may take minutes.")
    longest = max(range(len(plain)), key=lambda phase: plain[phase].seconds)
    try:
        compiled = measured(config, table, folder, [{"compile": True}], only=longest, rounds=1)[0][0]
    except UserError:
        raise
    except Exception as error:  # the compiler and its backends raise what they like; without them it runs all the same
        log.info(f"compile=false: compiling fails here ({str(error).strip().splitlines()[0]}). {AFTER_A_KILL}")
        return False
    # A last batch that is not full is compiled for itself: twice the time for a start.
    estimated = total * compiled.seconds / plain[longest].seconds + 2 * len(plain) * compiled.start
    pays, phases = estimated < total, f"{len(plain)} phase{'s' * (len(plain) > 1)}"
    costs = f"about {total:.0f} s as it is, {estimated:.0f} s with compiling {phases}"
    log.info(f"compile={str(pays).lower()}: {costs}.")
    return pays


def whether_to_cache(config: DictConfig, table: "LabelTable", folder: Path) -> bool:
    """Whether the recipe takes less time with shrunken images on disk, with the time for writing them counted."""
    from polytag import build
    from polytag.data.label_table import TRAIN, VAL

    recipe, transforms = _recipe(config), build.build(config.transforms)
    presizes = [presize for size in recipe.image_sizes if (presize := transforms.presized(size)) is not None]
    cache = build.build_cache(_changed(config, {"data.cache": True}))
    rows = table.rows(np.isin(table.split, (TRAIN, VAL)))
    assert cache is not None
    missing = sum(len(cache.find(rows, presize).missing) for presize in presizes)
    if not missing:
        log.info(
            "data.cache=true: all images are stored." if presizes else "data.cache=false: transforms.presize=null."
        )
        return bool(presizes)
    try:
        cache.require_room(rows, presizes)
    except UserError as error:
        log.info(f"data.cache=false: {error}")
        return False
    few = _first_rows(table, 3 * max(phase.batch_size or config.data.batch_size for phase in recipe.phases))
    share = len(few) / len(rows)
    with tempfile.TemporaryDirectory(prefix="trial_", dir=cache.folder) as place:
        start = time.perf_counter()
        replace(cache, folder=Path(place)).fill(few, presizes)
        filling = (time.perf_counter() - start) / (len(few) * len(presizes)) * missing
        choices: list[dict[str, Any]] = [{"data.cache": False}, {"data.cache": True, "paths.cache": place}]
        seconds = [sum(cost.seconds for cost in costs) / share for costs in measured(config, few, folder, choices)]
    pays = seconds[1] + filling < seconds[0]
    without, with_it = seconds
    costs = f"about {without:.1f} s without, {with_it:.1f} s with, {filling:.1f} s to fill"
    log.info(f"data.cache={str(pays).lower()}: {costs}.")
    return pays


def _first_rows(table: "LabelTable", count: int) -> "LabelTable":
    """Return the first training rows and the first validation rows, so many of each."""
    from polytag.data.label_table import TRAIN, VAL

    parts = [np.flatnonzero(table.split == split)[:count] for split in (TRAIN, VAL)]
    return table.rows(np.concatenate(parts))


def measured(
    config: DictConfig,
    table: "LabelTable",
    folder: Path,
    choices: Sequence[Mapping[str, Any]],
    only: int | None = None,
    rounds: int = ROUNDS,
) -> "list[list[Cost]]":
    """Return for each choice of values what each phase takes, the fastest of some rounds; or one phase alone."""
    listed: list[list[list[Cost]]] = [[] for _ in choices]
    for _ in range(rounds):
        for runs, choice in zip(listed, choices, strict=True):
            runs.append(_costs(_changed(config, choice), table, folder, only))
    return [[min(phase, key=lambda cost: cost.seconds) for phase in zip(*runs, strict=True)] for runs in listed]


def _costs(config: DictConfig, table: "LabelTable", folder: Path, only: int | None) -> "list[Cost]":
    """Measure the phases of a config with everything that `train` would build for it."""
    from polytag import build
    from polytag.build_trainer import build_compute, build_trainer
    from polytag.data.datamodule import DataModule
    from polytag.phase_costs import estimate
    from polytag.schedule.range_test import random_state_kept
    from polytag.schedule.recipe import Recipe

    recipe = _recipe(config)
    if only is not None:
        recipe = Recipe((recipe.phases[only],))
    with random_state_kept(build_compute(config.trainer).device):
        classifier = build.build_classifier(config, table, recipe)
        build.check_groups(classifier.network, recipe)
        build.check_image_sizes(classifier.network, recipe)
        options = (config.data.batch_size, config.data.num_workers, config.seed, build.build_cache(config))
        sampling = build.data_options(config.data).sampling
        data = DataModule(table, build.build(config.transforms), recipe.phase_at, *options, sampling=sampling)
        return estimate(recipe, classifier, data, build_trainer(config, RunFolder(folder), recipe, classifier.network))


def _recipe(config: DictConfig) -> Any:
    """Return the recipe, whatever its rate."""
    from polytag import build

    return build.build_recipe(_changed(config, {"recipe.lr": 1.0}) if config.recipe.get("lr") == "auto" else config)


def _changed(config: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """Return a config to measure with: other values, no logger, and nothing left to be settled."""
    changed = unsettled(config)
    for key, value in values.items():
        OmegaConf.update(changed, key, value)
    changed.logger = {}
    return changed


def unsettled(config: DictConfig) -> DictConfig:
    """Return a config with the defaults where it says `auto`, for what is not worth a measurement of its own."""
    plain = copy.deepcopy(config)
    for key, value in {"trainer.precision": "32-true", "compile": False, "data.cache": False}.items():
        if OmegaConf.select(plain, key) == "auto":
            OmegaConf.update(plain, key, value)
    return plain


def _listed(choices: Sequence[Mapping[str, Any]], seconds: Sequence[float]) -> str:
    named = zip((str(next(iter(choice.values()))) for choice in choices), seconds, strict=True)
    return "the recipe takes about " + ", ".join(f"{time:.0f} s in {name}" for name, time in named)


def _found_lr(config: DictConfig, table: "LabelTable", folder: Path) -> float:
    from polytag.find_lr import found_lr

    return found_lr(config, table, folder)


# In this order: what is settled first holds for the measurements after it.
CHOICES: dict[str, Callable[[DictConfig, "LabelTable", Path], Any]] = {
    "data.cache": whether_to_cache,
    "trainer.precision": fastest_precision,
    "compile": whether_to_compile,
    "recipe.lr": _found_lr,
}
