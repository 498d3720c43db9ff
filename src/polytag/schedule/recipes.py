"""The recipes: functions that write out the phases of a training. Each has a file of its own in `conf/recipe/`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from polytag.errors import UserError, did_you_mean
from polytag.schedule.curves import Curve, OneCycle
from polytag.schedule.recipe import Phase, Recipe, group_names
from polytag.schedule.recipe_arguments import group_divisors, one_each, phase_epochs, stage_lrs

STAGES = ("frozen", "unfrozen")
# What a phase may have in `free_phases`.
PHASE_KEYS = (*(field.name for field in fields(Phase) if field.name != "groups"), "lr_div")


def freeze_unfreeze(
    image_sizes: Sequence[int],
    stages: Sequence[str],
    lr: float,
    curve: Curve,
    epochs: int | Sequence[int] | None = None,
    *,
    group_lr_div: Sequence[float] | None = None,
    group_lr_decay: float | None = None,
    stage_lr_div: float | Sequence[float] = 1,
    batch_sizes: int | Sequence[int] | None = None,
    groups: int = 3,
    precompute: bool = False,
    views: int = 1,
) -> Recipe:
    """Run all stages at each image size in turn: the classic staged fine-tuning.

    Args:
        image_sizes: Sides in pixels, usually growing.
        stages: `frozen` (only the head trains) and `unfrozen` (everything does), in order.
        lr: Peak rate of the head.
        curve: Shape of each phase.
        epochs: Epochs of a stage, or one number a stage; needless where the curve has a length of its own (cycles).
            A stage of 0 epochs is left out.
        group_lr_div: What divides `lr` for each layer group.
        group_lr_decay: Instead of it, see `recipe_arguments.group_divisors`.
        stage_lr_div: What divides `lr` in each stage.
        batch_sizes: Images a step, one number an image size; the run's where not given.
        groups: Number of layer groups.
        precompute: Whether phases in which only the head trains compute the features of the images once; see `Phase`.
        views: Of each training image, then.

    Raises:
        UserError: An unknown stage, or lists of different lengths.
    """
    if not image_sizes or not stages:
        raise UserError("recipe: image_sizes and stages must name at least one size and one stage.")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise UserError(f"recipe.stages: {unknown[0]!r} is none of {', '.join(STAGES)}.")
    names = group_names(groups)
    divisors = group_divisors(groups, group_lr_div, group_lr_decay)
    stage_epochs = one_each("epochs", phase_epochs(curve, epochs), stages, "stage")
    lrs = stage_lrs(lr, stage_lr_div, stages)
    batches = one_each("batch_sizes", batch_sizes, image_sizes, "image size")
    phases = (
        Phase(size, count, peak, curve, names[:-1] if stage == "frozen" else (), divisors, names, batch)
        for size, batch in zip(image_sizes, batches, strict=True)
        for stage, count, peak in zip(stages, stage_epochs, lrs, strict=True)
        if count
    )
    return Recipe(tuple(phases)).precomputed(precompute, views)


def fine_tune(
    image_size: int,
    epochs: int,
    lr: float = 2e-3,
    freeze_epochs: int = 1,
    *,
    lr_mult: float = 100,
    pct_start: float = 0.3,
    div: float = 5.0,
    groups: int = 3,
    precompute: bool = False,
    views: int = 1,
) -> Recipe:
    """Train the head, then everything at half the rate: the arithmetic of fastai v2's `Learner.fine_tune`.

    The frozen stage rises for 99 % of its length. In the second one the rates of the groups are spread geometrically
    from `lr / (2 * lr_mult)` to `lr / 2`. Source: fastai/callback/schedule.py, https://docs.fast.ai/callback.schedule.html

    Args:
        image_size: Side in pixels.
        epochs: Epochs with all groups training.
        lr: Peak rate of the head in the frozen stage (fastai: `base_lr`).
        freeze_epochs: Epochs of the head alone; 0 leaves them out.
        lr_mult: How many times the head's rate is that of the first group.
        pct_start: Share of the second stage in which its rates rise.
        div: The second stage starts at its peak rates divided by this.
        groups: Number of layer groups.
        precompute: Whether phases in which only the head trains compute the features of the images once; see `Phase`.
        views: Of each training image, then.

    Raises:
        UserError: An lr_mult that is not above 0.
    """
    if not lr_mult > 0:
        raise UserError(f"recipe.lr_mult must be above 0, such as 100, not {lr_mult}.")
    names = group_names(groups)
    spread = tuple(lr_mult ** (1 - i / (groups - 1)) for i in range(groups))
    unfrozen = Phase(image_size, epochs, lr / 2, OneCycle(pct_start=pct_start, div=div), (), spread, names)
    if not freeze_epochs:
        return Recipe((unfrozen,)).precomputed(precompute, views)
    frozen = Phase(image_size, freeze_epochs, lr, OneCycle(pct_start=0.99), names[:-1], spread, names)
    return Recipe((frozen, unfrozen)).precomputed(precompute, views)


def gradual_unfreezing(
    image_size: int,
    lr: float,
    curve: Curve,
    epochs: int | Sequence[int] | None = None,
    *,
    group_lr_div: Sequence[float] | None = None,
    group_lr_decay: float | None = None,
    stage_lr_div: float | Sequence[float] = 1,
    groups: int = 3,
    precompute: bool = False,
    views: int = 1,
) -> Recipe:
    """Train the head, then one more layer group in each stage, the deepest first (Howard & Ruder 2018, ULMFiT).

    Args:
        image_size: Side in pixels.
        lr: Peak rate of the head.
        curve: Shape of each stage.
        epochs: Epochs of a stage, or one number a stage; there are as many stages as layer groups.
        group_lr_div: What divides `lr` for each layer group.
        group_lr_decay: Instead of it, see `recipe_arguments.group_divisors`.
        stage_lr_div: What divides `lr` in each stage.
        groups: Number of layer groups.
        precompute: Whether phases in which only the head trains compute the features of the images once; see `Phase`.
        views: Of each training image, then.
    """
    names = group_names(groups)
    divisors = group_divisors(groups, group_lr_div, group_lr_decay)
    stages = [f"{name} thaws" for name in reversed(names)]
    stage_epochs = one_each("epochs", phase_epochs(curve, epochs), stages, "stage")
    lrs = stage_lrs(lr, stage_lr_div, stages)
    phases = (
        Phase(image_size, count, peak, curve, names[: groups - 1 - stage], divisors, names)
        for stage, (count, peak) in enumerate(zip(stage_epochs, lrs, strict=True))
        if count
    )
    return Recipe(tuple(phases)).precomputed(precompute, views)


def one_stage(
    image_size: int,
    lr: float,
    curve: Curve,
    epochs: int | None = None,
    *,
    group_lr_div: Sequence[float] | None = None,
    group_lr_decay: float | None = None,
    groups: int = 3,
) -> Recipe:
    """Train everything at one size: the plain training of most tools."""
    divisors = group_divisors(groups, group_lr_div, group_lr_decay)
    return Recipe((Phase(image_size, phase_epochs(curve, epochs), lr, curve, (), divisors, group_names(groups)),))


def linear_probe(
    image_size: int,
    lr: float,
    curve: Curve,
    epochs: int | None = None,
    *,
    groups: int = 3,
    precompute: bool = True,
    views: int = 1,
) -> Recipe:
    """Train the head alone on the frozen backbone: what the pretrained features are worth."""
    names = group_names(groups)
    phase = Phase(image_size, phase_epochs(curve, epochs), lr, curve, names[:-1], groups=names)
    return Recipe((phase,)).precomputed(precompute, views)


def free_phases(
    phases: Sequence[Mapping[str, Any]],
    lr: float,
    curve: Curve,
    *,
    group_lr_div: Sequence[float] | None = None,
    group_lr_decay: float | None = None,
    groups: int = 3,
    precompute: bool = False,
    views: int = 1,
) -> Recipe:
    """Take phases written out one by one.

    Args:
        phases: Fields of `Phase` each; `lr` may be left out, and `lr_div` divides it, the recipe's or the phase's own.
        lr: Peak rate of the head in phases that do not say otherwise.
        curve: Shape of the phases that do not say otherwise.
        group_lr_div: What divides the rate for each layer group, likewise.
        group_lr_decay: Instead of it, see `recipe_arguments.group_divisors`.
        groups: Number of layer groups.
        precompute: Whether those in which only the head trains compute the features of the images once; see `Phase`.
        views: Of each training image, then.

    Raises:
        UserError: An unknown or missing field, naming the phase.
    """
    own = {"lr": lr, "curve": curve, "group_lr_div": group_divisors(groups, group_lr_div, group_lr_decay)}
    names = group_names(groups)
    built = []
    for number, phase in enumerate(phases):
        given = {key: value for key, value in phase.items() if value is not None}  # null leaves it to the recipe
        built.append(_free_phase(f"recipe.phases[{number}]", own | given, names))
    return Recipe(tuple(built)).precomputed(precompute, views)


def _free_phase(path: str, given: dict[str, Any], names: tuple[str, ...]) -> Phase:
    """Build one phase of `free_phases`; `path` is what errors call it."""
    if unknown := [key for key in given if key not in PHASE_KEYS]:
        near, known = did_you_mean(unknown[0], PHASE_KEYS), ", ".join(PHASE_KEYS)
        raise UserError(f"{path}: a phase has no {unknown[0]!r}.{near} Known: {known}.")
    if "image_size" not in given:
        raise UserError(f"{path} needs an image_size, in pixels.")
    for key in ("curve", "transforms"):
        if isinstance(given.get(key), str | Mapping):
            raise UserError(f"{path}.{key} needs a _target_, as the files in conf/{key} have it, not {given[key]!r}.")
    frozen = given.get("frozen", ())
    changed = {
        "lr": stage_lrs(given["lr"], given.pop("lr_div", 1), [path], "lr_div")[0],
        "frozen": (frozen,) if isinstance(frozen, str) else tuple(frozen),
        "group_lr_div": tuple(given["group_lr_div"]),
        "epochs": phase_epochs(given["curve"], given.get("epochs"), path),
    }
    try:
        return Phase(**given | changed, groups=names)
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix('recipe: ')}") from error
