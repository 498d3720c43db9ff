"""Policies read back from what `policy.json` and checkpoints hold."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polytag.policy import Policy
from polytag.policy.exclusive_groups import ExclusivePolicy
from polytag.policy.fixed import FixedPolicy
from polytag.policy.line import NEVER
from polytag.policy.thresholds import Thresholds
from polytag.policy.top_k import TopK


def read_policy(file: Path, classes: Sequence[str]) -> Policy:
    """Return the policy of a run's `policy.json`."""
    return policy_from_dict(json.loads(file.read_text(encoding="utf-8")), classes)


def policy_from_dict(stored: Mapping[str, Any], classes: Sequence[str]) -> Policy:
    """Return the policy that a `to_dict` described, for the same classes in any order."""
    kind = stored["kind"]
    if kind == "fixed":
        return FixedPolicy(stored["threshold"])
    if kind == "top_k":
        return TopK(stored["k"], stored["at_least"])
    if kind == "exclusive_groups":
        groups = tuple(tuple(classes.index(name) for name in group) for group in stored["groups"])
        return ExclusivePolicy(groups, policy_from_dict(stored["rest"], classes))
    values = (stored["thresholds"][name] for name in classes)
    return Thresholds(kind, tuple(NEVER if value is None else float(value) for value in values))
