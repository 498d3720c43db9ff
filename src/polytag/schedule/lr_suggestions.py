"""The arithmetic of a learning-rate range test: which rates it tries, how losses are smoothed, what they suggest.

Pure functions of arrays, after fastai: `LRFinder` and the four rules valley, slide, minimum and steep of
`fastai/callback/schedule.py` (https://docs.fast.ai/callback.schedule.html), `AvgSmoothLoss` of `fastai/learner.py`.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from polytag.errors import UserError, did_you_mean

Numbers = npt.NDArray[np.float64]

# The memory of the smoothed loss, and how many times its best value ends the test.
SMOOTHING, EXPLOSION = 0.98, 4.0
# Where the slide rule looks, in points of the test, and the change of slope that ends it.
SLIDE_INTERVAL, SLIDE_THRESHOLD = 15, 0.005
# Points at the end, where the loss explodes, that no rule is to see; and how many it must see.
SKIPPED_AT_THE_END = 5
FEWEST_POINTS = 10


def rising_rates(start: float, end: float, steps: int) -> Numbers:
    """Return the rates of a test: both ends included, each the same factor above the one before.

    Raises:
        UserError: The range is empty or does not begin above 0.
    """
    if isinstance(start, str) or isinstance(end, str) or not 0 < start < end < math.inf:
        raise UserError(f"The range test cannot go from start_lr={start} up to end_lr={end}: 0 < start_lr < end_lr.")
    return np.geomspace(start, end, steps)


def smooth(losses: Sequence[float]) -> Numbers:
    """Return at each point the mean of the losses so far, weighted by 0.98 to the power of their age."""
    average, smoothed = 0.0, []
    for count, loss in enumerate(losses, start=1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING**count))  # the weights so far add up to less than 1
    return np.array(smoothed)


def has_exploded(smoothed: Numbers) -> bool:
    """Whether the last smoothed loss exceeds four times the best."""
    return bool(smoothed[-1] > EXPLOSION * smoothed.min())


def judged_part(points: int, steps: int) -> slice:
    """Return which points of a test the rules see: without its first tenth and its last five, as in fastai.

    Args:
        points: How many there are: fewer than `steps` where the loss exploded before the end.
        steps: How many were planned.

    Raises:
        UserError: Fewer than ten are left.
    """
    start, end = steps // 10, points - SKIPPED_AT_THE_END
    if end - start < FEWEST_POINTS:
        raise UserError(
            f"The range test has {points} points before the loss explodes or the steps={steps} end, and the first "
            f"{start} and the last {SKIPPED_AT_THE_END} do not count: {FEWEST_POINTS} must be left. "
            "Raise steps, or lower start_lr."
        )
    return slice(start, end)


def suggest_rates(rates: Numbers, losses: Numbers, steps: int) -> dict[str, float]:
    """Return the rate that each rule suggests, by the rule's name.

    Args:
        rates: Of the test, ascending.
        losses: The smoothed loss at each.
        steps: How many points were planned.

    Raises:
        UserError: There are too few points to judge by.
    """
    part = judged_part(len(rates), steps)
    return {name: rule(rates[part], losses[part]) for name, rule in RULES.items()}


def check_rule(name: str) -> None:
    """Refuse a rule that there is not.

    Raises:
        UserError: Its name, and those that there are.
    """
    if name not in RULES:
        raise UserError(f"suggestion={name!r} is none of {', '.join(RULES)}.{did_you_mean(name, RULES)}")


def valley(rates: Numbers, losses: Numbers) -> float:
    """Return the rate in the middle of the longest valley: the longest series of ever lower losses, gaps allowed.

    The series is counted in its own points, from its end backwards; the rate lies a third and half a third behind its
    start. Developed by ESRI: https://forums.fast.ai/t/automated-learning-rate-suggester/44199/30. Without a fall it is
    the first rate; so too of two points at the very start, where fastai's index wraps around to the last rate.
    """
    length = np.ones(len(losses), dtype=int)  # of the longest falling series that ends at each point
    for i in range(1, len(losses)):
        length[i] += max(length[:i][losses[:i] > losses[i]], default=0)
    end = int(length.argmax())
    third = length[end] / 3
    index = end - int(length[end]) + int(third) + int(third / 2)
    return float(rates[max(index, 0)])


def slide(rates: Numbers, losses: Numbers) -> float:
    """Return where an interval of 15 points, slid down from the highest rates, first has a steady slope.

    Steady: the slopes at its ends, in loss a point, differ by no more than 0.005. The rate is that of the left end one
    step before. Developed by Andrew Chang: https://forums.fast.ai/t/automated-learning-rate-suggester/44199. Of fewer
    points than 16 the interval takes all.
    """
    slopes = np.gradient(losses)
    right = len(losses) - 1
    left = max(right - SLIDE_INTERVAL, 0)
    chosen = left
    while left >= 0 and abs(slopes[right] - slopes[left]) > SLIDE_THRESHOLD:
        chosen = left
        left, right = left - 1, right - 1
    return float(rates[chosen])


def minimum(rates: Numbers, losses: Numbers) -> float:
    """Return a tenth of the rate with the lowest loss."""
    return float(rates[losses.argmin()]) / 10


def steep(rates: Numbers, losses: Numbers) -> float:
    """Return the rate from which the loss falls fastest to the next point, over the logarithm of the rate."""
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return float(rates[slopes.argmin()])


# In the order in which tables and pictures show them; `minimum` is a tenth of where the minimum lies.
RULES: dict[str, Callable[[Numbers, Numbers], float]] = {
    "valley": valley,
    "slide": slide,
    "minimum": minimum,
    "steep": steep,
}
