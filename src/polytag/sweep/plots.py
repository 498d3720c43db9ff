"""Pictures of a sweep: its scores, what was varied, and which key mattered. matplotlib is imported where it draws."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from polytag.sweep.importance import draw_importances, importances
from polytag.sweep.job import DONE, FAILED, PRUNED, Job
from polytag.sweep.options import Objective
from polytag.sweep.parallel_plot import plot_parallel
from polytag.sweep.progress import best_job, ranked
from polytag.sweep.settings import Settings
from polytag.sweep.space import Space
from polytag.tracking.style import BLUE, GREY, GRID, INK, ORANGE, RED, clean, legend_beside, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 12  # jobs of a front with their numbers beside them


def write_plots(
    folder: Path, jobs: Sequence[Job], objectives: Sequence[Objective], space: Space, settings: Settings
) -> str | None:
    """Draw the pictures that there is something to show for; return why there is none of importance, if so.

    Args:
        folder: Where to.
        jobs: Of the sweep.
        objectives: What they are judged by.
        space: What is varied.
        settings: Of the ledger.
    """
    leading = objectives[0]
    order = ranked(jobs, leading)
    if not order:
        return None
    plot_history(jobs, leading, folder / "history.png")
    plot_parallel(jobs, leading, space, folder / "parallel_coordinates.png")
    if len(objectives) > 1:
        plot_objectives(jobs, objectives, folder / "objectives.png")
    shares, reason = importances(jobs, space, settings)
    if shares:
        title = f"What {leading.metric} depends on, by {len(order)} jobs"
        save(draw_importances(shares, title), folder / "importance.png")
    return reason and f"No plots/importance.png: {reason}"


def plot_history(jobs: Sequence[Job], objective: Objective, path: Path) -> None:
    """Draw the score of each job, and the best so far; what has none stands on the lower edge."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    scored = [(job.number, job.values[0]) for job in jobs if job.values and not math.isnan(job.values[0])]
    pruned = {job.number for job in jobs if job.state == PRUNED}
    done = [(number, score) for number, score in scored if number not in pruned]
    _dots(axes, done, "o", BLUE, "done")
    _dots(axes, [point for point in scored if point[0] in pruned], "v", ORANGE, "pruned")
    bests = [(number, _best([s for n, s in done if n <= number], objective)) for number, _ in done]
    last = max(job.number for job in jobs)
    steps = [*bests, (last, bests[-1][1])]
    axes.step(*zip(*steps, strict=True), where="post", color=BLUE, linewidth=1.2, alpha=0.6, label="best so far")
    for label, marker, colour, there in (
        ("failed", "x", RED, [job for job in jobs if job.state == FAILED]),
        ("refused", "s", GREY, [job for job in jobs if job.state == DONE and job.values and math.isnan(job.values[0])]),
    ):
        _edge(axes, [job.number for job in there], marker, colour, label)
    best = best_job(jobs, objective)
    assert best is not None and best.values is not None
    axes.plot(best.number, best.values[0], "o", color=RED, markersize=9, fillstyle="none", markeredgewidth=1.6)
    axes.set_title(f"best {best.values[0]:.4f} of job {best.number}", loc="right", fontsize=9, color=RED)
    axes.set_xlim(-0.5 - 0.01 * last, last + 0.5 + 0.01 * last)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("job")
    axes.set_ylabel(objective.metric)
    clean(axes)
    legend_beside(axes)
    save(figure, path)


def plot_objectives(jobs: Sequence[Job], objectives: Sequence[Objective], path: Path) -> None:
    """Draw the first two scores of each job, and those that no job beats in both."""
    from matplotlib.figure import Figure

    points = [
        (job.number, job.values[0], job.values[1])
        for job in jobs
        if job.state == DONE and job.values and not any(map(math.isnan, job.values[:2]))
    ]
    if not points:
        return
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    best = pareto_front([point[1:] for point in points], objectives)
    front = sorted((points[place] for place in best), key=lambda point: point[1])
    axes.scatter([point[1] for point in points], [point[2] for point in points], s=28, color=BLUE, alpha=0.8, zorder=3)
    first, second = [point[1] for point in front], [point[2] for point in front]
    axes.plot(first, second, "o--", color=RED, linewidth=1, markersize=9, fillstyle="none", label="beaten by no job")
    for number, x, y in front if len(front) <= NAMED else ():
        axes.annotate(str(number), (x, y), (6, 5), textcoords="offset points", fontsize=8.5, color=INK)
    words = {"max": "higher is better", "min": "lower is better"}
    axes.set_xlabel(f"{objectives[0].metric} ({words[objectives[0].mode]})")
    axes.set_ylabel(f"{objectives[1].metric} ({words[objectives[1].mode]})")
    axes.margins(0.08)
    clean(axes)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    save(figure, path)


def pareto_front(scores: Sequence[Sequence[float]], objectives: Sequence[Objective]) -> list[int]:
    """Return the places of those scores that no other is as good as in all objectives and better in one."""

    def beats(one: Sequence[float], other: Sequence[float]) -> bool:
        pairs = [(objective, a, b) for objective, a, b in zip(objectives, one, other, strict=False)]
        return any(objective.is_better(a, b) for objective, a, b in pairs) and not any(
            objective.is_better(b, a) for objective, a, b in pairs
        )

    return [place for place, one in enumerate(scores) if not any(beats(other, one) for other in scores)]


def _best(scores: Sequence[float], objective: Objective) -> float:
    return max(scores) if objective.mode == "max" else min(scores)


def _dots(axes: "Axes", points: Sequence[tuple[int, float]], marker: str, colour: str, label: str) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), marker, color=colour, markersize=5, label=label, zorder=3)


def _edge(axes: "Axes", numbers: Sequence[int], marker: str, colour: str, label: str) -> None:
    """Mark jobs without a score on the lower edge."""
    if numbers:
        place = axes.get_xaxis_transform()
        axes.plot(
            numbers, [0.02] * len(numbers), marker, color=colour, markersize=6, label=label, transform=place, zorder=4
        )
