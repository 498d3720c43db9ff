"""Which of the keys that a sweep varies made its scores differ, by functional ANOVA (Hutter et al. 2014)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from optuna.study import Study
from optuna.trial import TrialState

from polytag.sweep.job import DONE, Job
from polytag.sweep.quiet_optuna import quiet_optuna
from polytag.sweep.sampling import mirror
from polytag.sweep.settings import Settings
from polytag.sweep.space import Space
from polytag.tracking.style import BLUE, INK, ORANGE, clean, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 10  # jobs with a score; a forest of fewer says nothing


class Share(NamedTuple):
    """What part of the differences between scores a key explains.

    Attributes:
        name: The key, with the condition under which it is varied.
        share: From 0 to 1.
        jobs: How many jobs this comes from.
        is_conditional: Whether only some jobs have the key; then the share is of their differences.
    """

    name: str
    share: float
    jobs: int
    is_conditional: bool


def importances(
    jobs: Sequence[Job], space: Space, settings: Settings, word: str = "jobs"
) -> tuple[list[Share], str | None]:
    """Return the share of each key, the highest first; or none, and why.

    Keys of all jobs share what makes all scores differ. A conditional key has a share of what differs between the jobs
    that have it, where those are enough.

    Args:
        jobs: Of the sweep; those that are done and have a score count.
        space: What is varied.
        settings: Of the ledger.
        word: What the reason calls the jobs.
    """
    done = [job for job in jobs if job.state == DONE and job.values and not any(map(math.isnan, job.values))]
    if len(done) < LEAST:
        return [], f"{word} with a score: {len(done)}, and it takes {LEAST}."
    with quiet_optuna():
        study = mirror(done, space, settings)
    values: dict[str, set[str]] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(str(value))
    names = [name for name, seen in values.items() if len(seen) > 1]
    if len(names) < 2:
        what = f"only {names[0]} is varied" if names else "no key is varied"
        return [], f"{what}, so there is nothing to compare."
    counts = {name: sum(name in trial.params for trial in study.get_trials(deepcopy=False)) for name in names}
    common = [name for name in names if counts[name] == len(done)]
    shares = [Share(name, share, len(done), False) for name, share in _evaluated(study, common, settings.seed).items()]
    for name in names:
        if LEAST <= counts[name] < len(done):
            found = _evaluated(study, [*common, name], settings.seed)
            shares.append(Share(name, found.get(name, 0.0), counts[name], True))
    if not shares:
        return [], f"too few {word} have the same keys, or all scores are equal."
    return sorted(shares, key=lambda share: -share.share), None


def _evaluated(study: Study, names: list[str], seed: int) -> dict[str, float]:
    """Return the share of each key among the jobs that have all of them; nothing where their scores are equal."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    scores = {trial.values[0] for trial in trials if set(names) <= set(trial.params)}
    if not names or len(scores) < 2:
        return {}
    with quiet_optuna():
        found = get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(seed=seed),
            params=names,
            target=lambda trial: float(trial.values[0]),
        )
    return {name: share for name, share in found.items() if math.isfinite(share)}


def draw_importances(shares: Sequence[Share], title: str, word: str = "jobs") -> "Figure":
    """Return a bar a key, the highest on top; `word` is what the texts call the jobs."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = list(shares)[::-1]
    figure = Figure(figsize=(8, 1.3 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    colours = [ORANGE if share.is_conditional else BLUE for share in shown]
    axes.barh(range(len(shown)), [share.share for share in shown], height=0.65, color=colours, alpha=0.85)
    for place, share in enumerate(shown):
        beside = f"{share.share:.2f}" + (f"  (in {share.jobs} {word})" if share.is_conditional else "")
        axes.text(share.share + 0.01, place, beside, va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(shown)), [shorten(share.name, 48) for share in shown], fontsize=9, parse_math=False)
    axes.set_xlim(0, 1.15)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel("share of the differences between scores")
    axes.set_title(title, fontsize=10, loc="left")
    if any(share.is_conditional for share in shown):
        names = (f"of all {word}", f"of the {word} that have the key")
        patches = [Patch(color=colour, label=name) for colour, name in zip((BLUE, ORANGE), names, strict=True)]
        axes.legend(handles=patches, frameon=False, fontsize=8, loc="lower right")
    clean(axes, grid="x")
    return figure
