"""A search space from what users write: Hydra's own syntax on the command line, or in `sweep` of a config."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from random import Random
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from polytag.errors import UserError, did_you_mean
from polytag.sweep.override_text import override_text, parse_override
from polytag.sweep.space import Choices, Dimension, Interval, Space, Steps

LOG = "log"


def read_space(
    overrides: Sequence[str],
    params: Mapping[str, Any] | None = None,
    conditions: Sequence[Mapping[str, Any]] = (),
    jobs: Sequence[Sequence[str]] = (),
    config_loader: ConfigLoader | None = None,
) -> tuple[tuple[str, ...], Space]:
    """Return the overrides that all jobs have in common, and what is varied.

    Args:
        overrides: Of the command line; they replace what the others say of the same key.
        params: `sweep.params` of a config: key -> value, in the syntax of the command line.
        conditions: `sweep.conditions`: `when`, key -> value or list of values, and `params` that are varied then.
        jobs: `sweep.jobs`: lists of overrides.
        config_loader: Lists the options of a group, for `glob`.
    """
    given = [parse_override(text, config_loader) for text in overrides]
    said = {_name(override) for override in given}
    written = _read_params(params or {}, "sweep.params", config_loader)
    everything = [*(override for override in written if _name(override) not in said), *given]
    fixed = {_name(override): override for override in everything if not override.is_sweep_override()}
    dimensions = [_dimension(override) for override in everything if override.is_sweep_override()]
    varied_in_file = {_name(override) for override in written if override.is_sweep_override()}
    pinned = {name: override_text(override.value()) for name, override in fixed.items() if name in varied_in_file}
    for index, condition in enumerate(conditions):
        where = f"sweep.conditions[{index}]"
        when = _read_when(condition, where, dimensions, pinned, varied_in_file & said)
        asked = _read_params(condition.get("params", {}), f"{where}.params", config_loader)
        if when is not None:
            dimensions += [_dimension(override, when) for override in asked if _name(override) not in said]
    _refuse_overlaps(dimensions, set(fixed))
    common = tuple(_text(override) for override in everything if not override.is_sweep_override())
    return common, Space(tuple(dimensions), tuple(_read_job(job) for job in jobs) or ((),))


def _read_params(params: Mapping[str, Any], where: str, config_loader: ConfigLoader | None) -> list[Override]:
    """Return what a mapping says, as overrides."""
    for key, value in params.items():
        if isinstance(value, Mapping | list):
            raise UserError(f"{where}.{key} is no text: write the values as choice(a,b) or a,b in quotes.")
    texts = [f"{key}={value if isinstance(value, str) else override_text(value)}" for key, value in params.items()]
    return [parse_override(text, config_loader) for text in texts]


def _read_when(
    condition: Mapping[str, Any],
    where: str,
    before: Sequence[Dimension],
    pinned: Mapping[str, str],
    replaced: Collection[str],
) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    """Return what a condition is on; None where the command line leaves no key such that it holds."""
    if unknown := sorted(set(condition) - {"when", "params"}):
        raise UserError(f"{where}.{unknown[0]} is not known: a condition has `when` and `params`.")
    if not condition.get("when"):
        raise UserError(f"{where} has no `when`: say which key must have which value.")
    texts = {key: _texts_of(value) for key, value in condition["when"].items()}
    if any(pinned[key] not in texts[key] for key in pinned if key in texts):
        return None
    for key, values in _listed(before).items():
        if key in texts and key in replaced:  # a file may name values that the command line has taken away
            texts[key] = tuple(text for text in texts[key] if text in values)
    if not all(texts.values()):
        return None
    return tuple((key, _accepted(key, texts[key], where, before)) for key in texts if key not in pinned)


def _listed(dimensions: Sequence[Dimension]) -> dict[str, list[str]]:
    """Return the texts of each key that has listed values."""
    listed = [(one.key, one.values) for one in dimensions if not isinstance(one.values, Interval)]
    return {key: [values.text(param) for param in values.params()] for key, values in listed}


def _texts_of(value: Any) -> tuple[str, ...]:
    return tuple(override_text(item) for item in (value if isinstance(value, list) else [value]))


def _accepted(key: str, accepted: tuple[str, ...], where: str, before: Sequence[Dimension]) -> tuple[str, ...]:
    """Return the texts that a condition accepts of a key, which must be possible."""
    varied = {dimension.key: dimension.values for dimension in before}
    if key not in varied:
        raise UserError(f"{where}.when.{key} is not varied, or not before this condition.{did_you_mean(key, varied)}")
    values = varied[key]
    if isinstance(values, Interval):
        raise UserError(f"{where}.when.{key} is an interval: a condition needs a key with listed values.")
    texts = [values.text(param) for param in values.params()]
    if strange := [text for text in accepted if text not in texts]:
        raise UserError(
            f"{where}.when.{key}: {strange[0]} is none of its values {', '.join(texts)}."
            f"{did_you_mean(strange[0], texts)}"
        )
    return accepted


def _read_job(job: Sequence[str]) -> tuple[str, ...]:
    overrides = [parse_override(text) for text in job]
    if varied := [override for override in overrides if override.is_sweep_override()]:
        raise UserError(f"sweep.jobs: {varied[0].input_line} has several values; vary it in sweep.params.")
    return tuple(_text(override) for override in overrides)


def _dimension(override: Override, when: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Dimension:
    """Return what an override varies; one of a single value is a choice of one."""
    key, sweep = override.get_key_element(), override.value()
    tags = sorted(getattr(sweep, "tags", ()))
    if strange := [tag for tag in tags if tag != LOG or not isinstance(sweep, IntervalSweep)]:
        raise UserError(f"{key}: the tag {strange[0]} is not known; tag({LOG}, interval(...)) is the only one.")
    if isinstance(sweep, IntervalSweep):
        return Dimension(key, _interval(key, sweep, LOG in tags), when)
    if isinstance(sweep, RangeSweep):
        numbers = _in_order(key, sweep.shuffle, _numbers(key, sweep))
        return Dimension(key, Steps(tuple(numbers)), when)
    return Dimension(key, Choices(_texts(key, override)), when)


def _interval(key: str, sweep: IntervalSweep, log: bool) -> Interval:
    low, high = sweep.start, sweep.end
    said = f"{key}: interval({override_text(low)},{override_text(high)})"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{said} has a bound that is no finite number.")
    if low >= high:
        raise UserError(f"{said} holds no numbers: the lower bound comes first, and is lower.")
    if log and low <= 0:
        raise UserError(f"{said} cannot be searched on a logarithmic scale: its lower bound must be above 0.")
    return Interval(low, high, log)


def _numbers(key: str, sweep: RangeSweep) -> list[Any]:
    if sweep.step == 0:
        raise UserError(f"{key}: range has a step of 0.")
    numbers = list(sweep.range())
    if not numbers:
        raise UserError(f"{key}: range({sweep.start},{sweep.stop},{sweep.step}) holds no numbers.")
    return numbers


def _texts(key: str, override: Override) -> tuple[str, ...]:
    """Return the texts of a choice, of a glob, or of a plain value."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        texts = _in_order(key, value.shuffle, [override_text(item) for item in value.list])
    elif override.is_sweep_override():
        texts = list(override.sweep_string_iterator())
    else:
        texts = [override_text(value)]
    if not texts:
        raise UserError(f"{override.input_line} finds no options.")
    if twice := [text for text in texts if texts.count(text) > 1]:
        raise UserError(f"{key} has the value {twice[0]} twice.")
    return tuple(texts)


def _in_order(key: str, shuffle: bool, values: list[Any]) -> list[Any]:
    """Return the values, shuffled where that is asked for: the same way each time, so that a sweep can go on."""
    return Random(key).sample(values, len(values)) if shuffle else values


def _name(override: Override) -> str:
    """Return the key without `+`: it can be set in one way only."""
    return str(override.get_key_element()).lstrip("+")


def _text(override: Override) -> str:
    """Return an override that has one value as it was written."""
    return str(override.input_line)


def _refuse_overlaps(dimensions: Sequence[Dimension], fixed: set[str]) -> None:
    """Refuse a key that two dimensions could set in the same job, and one that is also the same for all jobs."""
    for dimension in dimensions:
        if dimension.key.lstrip("+") in fixed:
            raise UserError(f"{dimension.key} is varied, and has a value for all jobs too.")
    for one, other in combinations(dimensions, 2):
        if one.key.lstrip("+") == other.key.lstrip("+") and not _exclude_each_other(one, other):
            raise UserError(f"{one.key} is varied twice in the same jobs.")


def _exclude_each_other(one: Dimension, other: Dimension) -> bool:
    accepted = dict(other.when)
    return any(key in accepted and not set(texts) & set(accepted[key]) for key, texts in one.when)
