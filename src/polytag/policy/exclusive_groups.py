"""Labels that exclude one another: each image gets the likeliest of each group, and thresholds decide the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from polytag.data.exclusive_groups import group_columns
from polytag.errors import UserError
from polytag.policy import Array, Labels, Policy, Probabilities, Targets, as_given
from polytag.policy.f_measure import Floats
from polytag.policy.line import Integers
from polytag.policy.search import Search
from polytag.policy.thresholds import Thresholds

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ExclusivePolicy:
    """The likeliest label of each group, and another policy for the classes in none.

    Attributes:
        groups: The columns of each group.
        rest: Decides the other columns.
    """

    groups: Groups
    rest: Policy

    def decide(self, probabilities: Array) -> Array:
        """Return the ``(N, L)`` boolean labels: exactly one of each group."""
        values = np.asarray(probabilities)
        others = values.copy()
        others[:, _grouped(self.groups)] = -np.inf  # no threshold is as low, and no label less likely
        return as_given(self.rest.decide(others) | likeliest(values, self.groups), probabilities)

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds."""
        rest = self.rest.to_dict(classes)
        grouped = {classes[column] for column in _grouped(self.groups)}
        return {
            "kind": "exclusive_groups",
            "groups": [[classes[column] for column in group] for group in self.groups],
            "rest": rest,
            "thresholds": {name: value for name, value in rest["thresholds"].items() if name not in grouped},
        }


def _grouped(groups: Groups) -> list[int]:
    return [column for group in groups for column in group]


def likeliest(probabilities: Probabilities, groups: Groups) -> Labels:
    """Return ``(N, L)`` labels: the likeliest of each group, of equal ones the first."""
    labels = np.zeros(probabilities.shape, bool)
    for group in groups:
        columns = np.array(group)
        labels[np.arange(len(labels)), columns[probabilities[:, columns].argmax(1)]] = True
    return labels


class ExclusiveSearch(Search):
    """The likeliest of each group, and thresholds for the rest that are searched with the groups' labels in place.

    Args:
        groups: The columns of each group.
        rest: Searches the thresholds of the other columns.
    """

    kind: ClassVar[str] = "exclusive_groups"

    def __init__(self, groups: Groups, rest: Search) -> None:
        self.groups, self.rest, self.folds, self.seed = groups, rest, rest.folds, rest.seed

    @property
    def method(self) -> str:
        """As in the search for the rest."""
        return self.rest.method

    @property
    def stand_in(self) -> Policy:
        """The groups need no search, and the rest has its own."""
        return ExclusivePolicy(self.groups, self.rest.stand_in)

    def score(self, labels: Labels, targets: Targets) -> float:
        """Return the score of all labels, those of the groups among them."""
        return self.rest.score(labels, targets)

    def verdict(self, honest: float, at_half: float) -> str:
        """As in the search for the rest."""
        return self.rest.verdict(honest, at_half)

    def describe_score(self) -> str:
        """Return the name of that score."""
        return self.rest.describe_score()

    def thresholds(self, probabilities: Probabilities, targets: Targets, columns: Integers, given: Labels) -> Floats:
        """Return ``(L,)`` thresholds by the search for the rest."""
        return self.rest.thresholds(probabilities, targets, columns, given)

    def find(self, probabilities: Probabilities, targets: Targets) -> Policy:
        """Return the policy for ``(N, L)`` probabilities and int8 targets."""
        columns = np.setdiff1d(np.arange(targets.shape[1]), _grouped(self.groups))
        values = self.thresholds(probabilities, targets, columns, likeliest(probabilities, self.groups))
        return ExclusivePolicy(self.groups, Thresholds(self.rest.kind, tuple(values.tolist())))


def describe_misfit(asked: Policy | Search, targets: Targets, classes: Sequence[str]) -> list[str]:
    """Return a line for each group of which not every image of ``(N, L)`` targets has exactly one class."""
    lines = []
    for group in getattr(asked, "groups", ()):
        counts = (targets[:, group] == 1).sum(1)[(targets[:, group] >= 0).all(1)]
        if (counts != 1).any():
            lines.append(
                f"policy=exclusive_groups gives each image one of {', '.join(classes[column] for column in group)}; of "
                f"{len(counts):,} images {(counts == 0).sum():,} have none and {(counts > 1).sum():,} have several."
            )
    return lines


def exclusive_groups(
    groups: Sequence[Sequence[str]], rest: Policy | Search, classes: Sequence[str] | None = None
) -> ExclusivePolicy | ExclusiveSearch:
    """Return a policy for classes of which some exclude one another, or the search for it.

    Args:
        groups: The names of each group's classes.
        rest: What decides the other classes.
        classes: The L names; `build_policy` tells them, but not to a policy inside another.

    Raises:
        UserError: A group makes no sense, or this is asked for as the rest of itself.
    """
    if classes is None:
        raise UserError("policy.rest=exclusive_groups: the rest has no groups. Choose policy@policy.rest=global.")
    columns = group_columns(groups, classes, "policy")
    return ExclusiveSearch(columns, rest) if isinstance(rest, Search) else ExclusivePolicy(columns, rest)
