import numpy as np
import pytest

from polytag.policy.advice import advise
from polytag.policy.exclusive_groups import exclusive_groups
from polytag.policy.fixed import FixedPolicy
from polytag.policy.top_k import TopK

TARGETS = np.array([[1, 0, 1], [1, 1, 0], [0, 1, -1], [1, 1, 1]], np.int8)


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (FixedPolicy(), []),
        (TopK(2), []),
        (TopK(3), ["policy.k=3 gives every image all of the 3 classes."]),
        (TopK(5), ["policy.k=5 gives every image all of the 3 classes."]),
        (TopK(3, at_least=0.1), []),
        (
            exclusive_groups([["a", "b"]], FixedPolicy(), "abc"),
            [
                "policy=exclusive_groups gives each image one of a, b; of 4 images 0 have none and 2 have several.",
            ],
        ),
    ],
)
def test_what_a_policy_makes_of_labels_is_said_where_it_may_not_be_meant(asked, lines):
    assert advise(asked, TARGETS, "abc") == lines
