"""Optuna's samplers and pruners by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PercentilePruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler

from polytag.errors import UserError, did_you_mean
from polytag.sweep.quiet_optuna import quiet_optuna

Made = TypeVar("Made")

PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "hyperband": HyperbandPruner,
}
SAMPLERS: dict[str, Callable[..., BaseSampler]] = {"random": RandomSampler, "tpe": TPESampler, "cma_es": CmaEsSampler}
# Options that differ from Optuna's defaults: jobs that still run count as bad ones, so that several at once do not try
# the same; and CMA-ES draws choices at random, as the docs say, without a word about each.
DEFAULTS: dict[str, dict[str, Any]] = {
    "percentile": {"percentile": 25.0},
    "tpe": {"constant_liar": True},
    "cma_es": {"warn_independent_sampling": False},
}


def build_pruner(name: str, options: Mapping[str, Any]) -> BasePruner:
    """Return a pruner."""
    return _build("pruner", PRUNERS, name, options)


def build_sampler(name: str, options: Mapping[str, Any], seed: int) -> BaseSampler:
    """Return a sampler with a seed of its own."""
    if "seed" in options:
        raise UserError("sweep.sampler_options.seed is not an option: the seed is sweep.seed.")
    return _build("sampler", SAMPLERS, name, {**options, "seed": seed})


def _build(kind: str, known: Mapping[str, Callable[..., Made]], name: str, options: Mapping[str, Any]) -> Made:
    if name not in known:
        raise UserError(f"sweep.{kind}={name} is none of {', '.join(known)}.{did_you_mean(name, known)}")
    names = set(inspect.signature(known[name]).parameters)
    if unknown := [option for option in options if option not in names]:
        known_ones = ", ".join(sorted(names - {"seed"})) or "it has none"
        raise UserError(
            f"sweep.{kind}_options.{unknown[0]} is no option of sweep.{kind}={name}: {known_ones}."
            f"{did_you_mean(unknown[0], names)}"
        )
    try:
        with quiet_optuna():
            return known[name](**{**DEFAULTS.get(name, {}), **options})
    except (TypeError, ValueError) as error:
        raise UserError(f"sweep.{kind}_options: {error}") from error
