"""Did a network learn which labels its images have, only to rank them, or nothing? Decided by numbers alone."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import ABSENT, PRESENT

LEARNS, RANKS, COLLAPSES, REFUSED = "learns", "ranks only", "collapses", "refused"
MAP, ACCURACY = "val/map", "val/accuracy"
THRESHOLD = 0.5
BETTER = 0.1  # of the way from guessing to 1
TIMES = 3  # as many labels as there are, or as few
NEARLY_ALL, SOME = 0.95, 0.05  # of the images
RULE = (
    f"{LEARNS}: {MAP} and {ACCURACY} are a tenth or more of the way from guessing to 1, and the labels at {THRESHOLD} "
    f"are a third to three times as many as the true ones. {RANKS}: {MAP} alone is, or no image gets two labels though "
    f"5 % or more have several. {COLLAPSES}: not even {MAP} is; or {ACCURACY} is not, because 95 % or more of the "
    "images get no label, or every label."
)


def given_labels(probabilities: npt.NDArray[np.floating], targets: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Return the ``(N, L)`` labels that are given at 0.5, among those of which the truth is known."""
    given: npt.NDArray[np.bool_] = (probabilities >= THRESHOLD) & (targets >= ABSENT)
    return given


def judge(
    scores: Mapping[str, float],
    guesses: Mapping[str, Mapping[str, float]],
    given: npt.NDArray[np.bool_],
    targets: npt.NDArray[np.int8],
) -> tuple[str, str]:
    """Return the outcome by `RULE`, and the number that decided it in a sentence; an empty one of what learns.

    Args:
        scores: Of the network, by full name.
        guesses: The same of each guess that never looks at an image.
        given: ``(N, L)`` labels given at 0.5.
        targets: ``(N, L)`` int8 targets, -1 where unknown.
    """
    best = {name: max(guess[name] for guess in guesses.values()) for name in (MAP, ACCURACY)}
    ranked, right = (scores[name] - best[name] >= BETTER * (1 - best[name]) for name in (MAP, ACCURACY))
    count, true_count = given.sum(1), (targets == PRESENT).sum(1)
    nothing = float((count == 0).mean())
    everything = float((given == (targets >= ABSENT)).all(1).mean())
    several = float((true_count > 1).mean())
    if not ranked:
        return COLLAPSES, f"Its ranking is hardly better than a guess: {MAP} {scores[MAP]:.3f}, guess {best[MAP]:.3f}."
    if not right and max(nothing, everything) >= NEARLY_ALL:
        share, what = (nothing, "no label") if nothing > everything else (everything, "every label")
        return COLLAPSES, f"{share:.0%} of the images get {what} at {THRESHOLD}."
    if count.max() <= 1 and several >= SOME:
        return RANKS, f"No image gets two labels, and {several:.0%} have several."
    if not right:
        return RANKS, f"Its labels at {THRESHOLD} are hardly better than a guess, or worse."
    if not true_count.mean() / TIMES <= count.mean() <= true_count.mean() * TIMES:
        return (
            RANKS,
            f"It gives {count.mean():.2f} labels an image at {THRESHOLD}, and there are {true_count.mean():.2f}.",
        )
    return LEARNS, ""
