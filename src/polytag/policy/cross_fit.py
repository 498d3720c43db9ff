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

from polytag.data.stratify import stratify
from polytag.errors import UserError
from polytag.policy import Labels, Policy, Probabilities, Targets
from polytag.policy.fixed import FixedPolicy
from polytag.policy.search import Search


@dataclass(frozen=True)
class Found:
    """A policy, and how it was found.

    Attributes:
        policy: Turns probabilities into labels.
        search: Name of the searched score and its value: honest, optimistic (on the images that the policy was found
            on) and that of thresholds of 0.5; images, folds, method, verdict. None where nothing was searched.
    """

    policy: Policy
    search: dict[str, Any] | None = None

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
    policy = asked.find(probabilities, targets)
    labels = {
        "honest": held_out_labels(asked, probabilities, targets),
        "optimistic": policy.decide(probabilities),
        "at_0.5": FixedPolicy(0.5).decide(probabilities),
    }
    scores = {name: asked.score(given, targets) for name, given in labels.items()}
    facts = {"images": len(targets), "folds": _folds(asked, targets), "method": asked.method}
    verdict = asked.verdict(scores["honest"], scores["at_0.5"])
    return Found(policy, {"score": asked.describe_score(), **scores, **facts, "verdict": verdict})


def held_out_labels(
    asked: Policy | Search, probabilities: Probabilities, targets: Targets, applied_to: Probabilities | None = None
) -> Labels:
    """Return the labels of each image by a policy that was found without it.

    Args:
        asked: A policy, or a search for one.
        probabilities: ``(N, L)`` to search on.
        targets: ``(N, L)`` int8, -1 where unknown.
        applied_to: Other ``(N, L)`` probabilities of the same images, such as those with test-time augmentation, that
            get the labels; None for the same.
    """
    applied_to = probabilities if applied_to is None else applied_to
    if not isinstance(asked, Search):
        return asked.decide(applied_to)
    folds = _folds(asked, targets)
    fold = stratify(targets == 1, [1 / folds] * folds, asked.seed)
    labels = np.zeros(targets.shape, bool)
    for number in range(folds):
        held_out, others = fold == number, fold != number
        labels[held_out] = asked.find(probabilities[others], targets[others]).decide(applied_to[held_out])
    return labels


def _folds(asked: Search, targets: Targets) -> int:
    """Return into how many parts the images can be cut; a single image is left out of nothing."""
    return max(1, min(asked.folds, len(targets)))
