"""What the searches for a policy share."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from polytag.policy import Labels, Policy, Probabilities, Targets
from polytag.policy.f_measure import Floats
from polytag.policy.fixed import FixedPolicy
from polytag.policy.line import Integers
from polytag.policy.thresholds import Thresholds


class Search(ABC):
    """A way to find a policy. `polytag.policy.cross_fit` calls it on parts of the images and on all of them.

    Attributes:
        kind: Name of the policy's config.
        method: `exact`, or what else the search is.
        stand_in: The policy in the training, before there is anything to search on.
        folds: In how many parts the images are cut for the honest score.
        seed: Of the cut.
    """

    kind: ClassVar[str]
    folds: int
    seed: int

    @property
    def method(self) -> str:
        """See above."""
        return "exact"

    @property
    def stand_in(self) -> Policy:
        """See above; one half: where a sigmoid would rather say yes than no."""
        return FixedPolicy(0.5)

    @abstractmethod
    def thresholds(self, probabilities: Probabilities, targets: Targets, columns: Integers, given: Labels) -> Floats:
        """Return ``(L,)`` thresholds: those of some columns are searched, those of the others infinity.

        Args:
            probabilities: ``(N, L)``.
            targets: ``(N, L)`` int8, -1 where unknown.
            columns: The classes to find thresholds for.
            given: ``(N, L)`` labels that the other classes get anyway.
        """

    @abstractmethod
    def score(self, labels: Labels, targets: Targets) -> float:
        """Return what the search makes as large as it can, of ``(N, L)`` labels."""

    @abstractmethod
    def describe_score(self) -> str:
        """Return the name of that score, such as `F2 (images)`."""

    def verdict(self, honest: float, at_half: float) -> str:
        """Return what to make of the honest score and that of thresholds of 0.5; empty where all is well."""
        if honest <= at_half:
            return "On images that they were not found on, these thresholds are no better than 0.5."
        return ""

    def find(self, probabilities: Probabilities, targets: Targets) -> Policy:
        """Return the policy for ``(N, L)`` probabilities and int8 targets (-1: unknown)."""
        columns, given = np.arange(targets.shape[1]), np.zeros(targets.shape, bool)
        return Thresholds(self.kind, tuple(self.thresholds(probabilities, targets, columns, given).tolist()))


def stand_in(asked: Policy | Search) -> Policy:
    """Return the policy of a training: what is asked for, or what stands in for it until it can be searched."""
    return asked.stand_in if isinstance(asked, Search) else asked
