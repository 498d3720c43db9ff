"""What a policy makes of some labels that nobody may have meant."""

from collections.abc import Sequence

from polytag.policy import Policy, Targets
from polytag.policy.exclusive_groups import describe_misfit
from polytag.policy.search import Search
from polytag.policy.top_k import TopK


def advise(asked: Policy | Search, targets: Targets, classes: Sequence[str]) -> list[str]:
    """Return a line for each thing in ``(N, L)`` int8 targets that a policy, or the search for one, does not fit."""
    lines = describe_misfit(asked, targets, classes)
    if isinstance(asked, TopK) and asked.k >= len(classes) and not asked.at_least:
        lines.append(f"policy.k={asked.k} gives every image all of the {len(classes)} classes.")
    return lines
