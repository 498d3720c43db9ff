"""Every config of a policy, as the commands build it."""

import pytest
import yaml
from omegaconf import OmegaConf

from polytag.build import build_policy
from polytag.commands import conf_dir
from polytag.errors import UserError
from polytag.policy.exclusive_groups import ExclusivePolicy, ExclusiveSearch
from polytag.policy.fixed import FixedPolicy
from polytag.policy.precision_search import AtPrecision
from polytag.policy.threshold_search import ClassThresholds, GlobalThreshold
from polytag.policy.top_k import TopK

DATA = OmegaConf.create({"exclusive_groups": [["a", "b"]]})
DEFAULTS = {
    "at_precision": AtPrecision(),
    "fixed": FixedPolicy(),
    "global": GlobalThreshold(),
    "per_class": ClassThresholds(),
    "top_k": TopK(),
}


def node(option, **changes):
    content = yaml.safe_load((conf_dir() / "policy" / f"{option}.yaml").read_text())
    content.pop("defaults", None)
    return OmegaConf.create(content | changes)


def test_there_is_no_other_file():
    assert {file.stem for file in (conf_dir() / "policy").glob("*.yaml")} == {*DEFAULTS, "exclusive_groups"}


@pytest.mark.parametrize("option", DEFAULTS)
def test_a_config_is_its_class_with_the_defaults_and_its_name_the_kind(option):
    built = build_policy(node(option), ["a", "b", "c"], DATA)
    assert built == DEFAULTS[option]
    kind = built.kind if hasattr(built, "kind") else built.to_dict(["a"])["kind"]
    assert kind == option


def test_groups_come_from_the_data_and_may_have_any_rest():
    for option in DEFAULTS:
        built = build_policy(node("exclusive_groups", rest=node(option)), ["a", "b", "c"], DATA)
        assert isinstance(built, ExclusivePolicy | ExclusiveSearch)
        assert built.groups == ((0, 1),) and built.rest == DEFAULTS[option]


def test_groups_inside_groups_make_no_sense():
    inner = node("exclusive_groups", rest=node("global"))
    with pytest.raises(UserError, match=r"^policy\.rest=exclusive_groups: [^\n]* policy@policy\.rest=global\.$"):
        build_policy(node("exclusive_groups", rest=inner), ["a", "b", "c"], DATA)


def test_groups_are_needed():
    with pytest.raises(UserError, match=r"^data\.exclusive_groups is empty"):
        build_policy(node("exclusive_groups", rest=node("global")), ["a", "b"], OmegaConf.create({}))


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("fixed", {"threshold": "half"}),
        ("fixed", {"threshold": 1.5}),
        ("top_k", {"k": 0}),
        ("global", {"average": "samples"}),
        ("per_class", {"shrinkage": "none"}),
        ("at_precision", {"precision": 90}),
    ],
)
def test_a_mistake_comes_out_as_one_line_with_its_key(option, changes):
    ((key, value),) = changes.items()
    with pytest.raises(UserError, match=rf"^policy\.{key}={value} [^\n]*$"):
        build_policy(node(option, **changes), ["a", "b"], DATA)
