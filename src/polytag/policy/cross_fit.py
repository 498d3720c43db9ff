"""Find a policy, and what it is worth on images that it was not found on.

Thresholds searched on the very images that are scored flatter: they fit these images' accidents. So the images are cut
into folds; the labels of each fold come from the policy found on the others, and all these labels together have the
honest score. They are counted together because the F-scores of single folds have a biased mean (Forman and Scholz,
"Apples-to-Apples in Cross-Validation Studies", 2010, HP Laboratories, HPL-2009-359). The policy that is kept is found
on all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from polytag.data.stratify import stratify
from polytag.errors import UserError
from polytag.policy import Labels, Policy, Probabilities, Targets
from polytag.policy.fixed import FixedPolicy
from polytag.policy.search import Search


@dataclass(frozen=True)
class HeldOut:
    """Policies for N images, each found without some of them.

    Attributes:
        fold: ``(N,)`` of each image, the place of its policy.
        policies: The policy for the images of each fold, found on the others.
    """

    fold: npt.NDArray[np.integer]
    policies: tuple[Policy, ...]

    def decide(self, probabilities: Probabilities) -> Labels:
        """Return the ``(N, L)`` labels of the same images, for ``(N, L)`` probabilities however they were computed."""
        labels = np.zeros(probabilities.shape, bool)
        for number, policy in enumerate(self.policies):
            labels[self.fold == number] = policy.decide(probabilities[self.fold == number])
        return labels


@dataclass(frozen=True)
class Found:
    """A policy, and how it was found.

    Attributes:
        policy: Turns probabilities into labels.
        held_out: Gives the labels of the images that it was found on; None where nothing was searched.
        search: Name of the searched score and its value: honest, optimistic (on the images that the policy was found
            on) and that of thresholds of 0.5; images, folds, method, verdict. None where nothing was searched.
    """

    policy: Policy
    search: dict[str, Any] | None = None
    held_out: HeldOut | None = None

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `policy.json` holds."""
        stored = self.policy.to_dict(classes)
        return stored if self.search is None else {**stored, "search": self.search}


def find(asked: Policy | Search, probabilities: Probabilities, targets: Targets) -> Found:
    """Return the policy for ``(N, L)`` probabilities and int8 targets, found on them where it has to be found.

    Raises:
        UserError: There is nothing to search on.
    """
    if not isinstance(asked, Search):
        return Found(asked)
    if not (targets == 1).any():
        raise UserError(
            f"policy={asked.kind} needs labels to search on, and none of the {len(targets):,} images has one."
        )
    policy, held_out = asked.find(probabilities, targets), cross_fit(asked, probabilities, targets)
    labels = {
        "honest": held_out.decide(probabilities),
        "optimistic": policy.decide(probabilities),
        "at_0.5": FixedPolicy(0.5).decide(probabilities),
    }
    scores = {name: asked.score(given, targets) for name, given in labels.items()}
    facts = {"images": len(targets), "folds": len(held_out.policies), "method": asked.method}
    verdict = asked.verdict(scores["honest"], scores["at_0.5"])
    search = {"score": asked.describe_score(), **scores, **facts, "verdict": verdict}
    return Found(policy, search, held_out)


def cross_fit(asked: Search, probabilities: Probabilities, targets: Targets) -> HeldOut:
    """Return a policy for each fold of the images, found on the others.

    Args:
        asked: The search.
        probabilities: ``(N, L)`` to search on.
        targets: ``(N, L)`` int8, -1 where unknown.
    """
    folds = max(1, min(asked.folds, len(targets)))  # a single image is left out of nothing
    fold = stratify(targets == 1, [1 / folds] * folds, asked.seed)
    others = (fold != number for number in range(folds))
    return HeldOut(fold, tuple(asked.find(probabilities[rows], targets[rows]) for rows in others))


def held_out_labels(asked: Policy | Search, probabilities: Probabilities, targets: Targets) -> Labels:
    """Return the ``(N, L)`` labels by a policy, or by the one that a search finds without the image."""
    decider = cross_fit(asked, probabilities, targets) if isinstance(asked, Search) else asked
    return decider.decide(probabilities)
