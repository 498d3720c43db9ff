"""A run as one file: the same probabilities and labels, without Polytag."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import polytag
from polytag import build
from polytag.errors import UserError
from polytag.inference.export import build_decision
from polytag.models.activations import Activation
from polytag.policy.exclusive_groups import ExclusivePolicy
from polytag.policy.fixed import FixedPolicy
from polytag.policy.thresholds import Thresholds
from polytag.policy.top_k import TopK

NEVER = float("inf")
BETWEEN = 0.5 + 2**-26  # of 64 bits, and rounded to 32 it is 0.5
PER_CLASS = Thresholds("per_class", (0.5, NEVER, BETWEEN, 0.0, 1.0, 0.7, 0.1))
GROUPS = ((6, 1), (2, 0, 3))
POLICIES = [
    FixedPolicy(0.5),
    FixedPolicy(0.7),  # rounded to 32 bits it is less
    FixedPolicy(0.1),  # and this more
    FixedPolicy(0),
    FixedPolicy(1),
    PER_CLASS,
    Thresholds("at_precision", (NEVER,) * 7),
    TopK(1),
    TopK(3),
    TopK(9),
    TopK(3, at_least=0.7),
    TopK(2, at_least=1),
    *(ExclusivePolicy(GROUPS, rest) for rest in (FixedPolicy(0.0), PER_CLASS, TopK(1), TopK(7, at_least=0.1))),
]


def probabilities_of_all_sorts():
    """Return ``(800, 7)`` float32: random ones, and many that are equal to one another and to a threshold."""
    generator = np.random.default_rng(0)
    anchors = np.array([0, 0.1, 0.5, BETWEEN, 0.7, 1], np.float32)
    around = np.concatenate([anchors, np.nextafter(anchors, np.float32(0)), np.nextafter(anchors, np.float32(1))])
    return np.concatenate([generator.random((400, 7), np.float32), generator.choice(around, (400, 7))])


@pytest.fixture(scope="module")
def run(finished_run):
    """Return a run at its last checkpoint, which is of 48 pixels whichever is best."""
    return polytag.load_run(finished_run, checkpoint="last")


@pytest.fixture(scope="module")
def images(run):
    """Return five random images at the run's image size."""
    return torch.randint(0, 256, (5, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def load(file):
    """Return a program, and what the file says about it."""
    extra = {"polytag.json": ""}
    module = torch.export.load(file, extra_files=extra).module()
    return module, json.loads(extra["polytag.json"])


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_every_policy_decides_in_the_program_as_it_does_here(policy):
    probabilities = probabilities_of_all_sorts()
    batch = torch.export.Dim("batch", min=1)
    example = torch.from_numpy(probabilities[:2])
    module = torch.export.export(
        build_decision(policy, 7), (example,), dynamic_shapes=({0: batch},), strict=False
    ).module()
    labels = module(torch.from_numpy(probabilities))
    assert labels.dtype == torch.bool and labels.shape == (800, 7)
    assert np.array_equal(labels.numpy(), policy.decide(probabilities))
    assert np.array_equal(module(torch.from_numpy(probabilities[:1])).numpy(), policy.decide(probabilities[:1]))


def test_thresholds_are_not_rounded_to_a_probability_below_them():
    just_above = np.nextafter(np.float32(0.5), np.float32(1))
    labels = build_decision(Thresholds("global", (BETWEEN, 0.5)), 2)(torch.tensor([[0.5, 0.5], [just_above, 0.4]]))
    assert labels.tolist() == [[False, True], [True, False]]


def test_of_equal_probabilities_the_first_class_has_its_label():
    tied = torch.tensor([[0.3, 0.3, 0.2, 0.3]])
    assert build_decision(TopK(2), 4)(tied).tolist() == [[True, True, False, False]]
    groups = ExclusivePolicy(((3, 0), (2, 1)), FixedPolicy(0.0))
    assert build_decision(groups, 4)(tied).tolist() == [[False, True, False, True]]


def test_a_program_answers_as_the_run(run, csv_data, tmp_path):
    table = build.build_source(run.config.data)
    prepared = torch.stack([prepare(run, path) for path in table.paths])
    expected = run.predict(table, device=torch.device("cpu"), num_workers=0)
    for name, policy in {"own": run.policy, "likeliest": TopK(2), "never": Thresholds("global", (NEVER,) * 3)}.items():
        replace(run, policy=policy).export(tmp_path / "new" / f"{name}.pt2")
        module, _ = load(tmp_path / "new" / f"{name}.pt2")
        for part in (slice(0, 24), slice(3, 4)):
            answer = module(prepared[part])
            assert answer["probabilities"].dtype == torch.float32 and not answer["probabilities"].requires_grad
            np.testing.assert_allclose(answer["probabilities"], expected[part], rtol=0, atol=1e-6)
            assert np.array_equal(answer["labels"], policy.decide(answer["probabilities"].numpy()))
    assert [file.name for file in (tmp_path / "new").iterdir() if file.suffix != ".pt2"] == []


def prepare(run, path):
    """Return an image as the file's description says: shrunk, made square, RGB."""
    presize = run.transforms.presized(run.image_size)
    square = run.transforms.evaluation(run.image_size)(run.decoder.read(path, presize))
    return torch.from_numpy(square).permute(2, 0, 1)


def test_the_file_says_what_its_columns_are_and_how_images_are_prepared(run, tmp_path):
    replace(run, policy=Thresholds("global", (0.25, NEVER, 1.0))).export(tmp_path / "run.pt2")
    _, facts = load(tmp_path / "run.pt2")
    first, second, third = run.classes
    assert facts == {
        "format": 1,
        "classes": [first, second, third],
        "policy": {"kind": "global", "thresholds": {first: 0.25, second: None, third: 1.0}},
        "image_size": 48,
        "resize": "squish",
        "shrunk_first": 62,
        "decoder": {"bands": [0, 1, 2], "low": 0.0, "high": None},
        "normalisation": {
            "mean": [127.5, 127.5, 127.5],
            "std": [127.5, 127.5, 127.5],
        },
        "backbone": "test_resnet",
    }


def test_another_process_needs_torch_alone(run, images, tmp_path):
    run.export(tmp_path / "run.pt2")
    torch.save(images, tmp_path / "images.pt")
    code = """
import sys, torch
program = torch.export.load("run.pt2").module()
images = torch.load("images.pt")
torch.save([program(images), program(images[:1])], "answers.pt")
others = {"polytag", "timm", "pytorch_lightning", "omegaconf", "albumentations"} & set(sys.modules)
assert not others, others
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    five, one = torch.load(tmp_path / "answers.pt")
    with torch.no_grad():
        expected = run.activation(run.network(images)).numpy()
    for answer, wanted in ((five, expected), (one, expected[:1])):
        np.testing.assert_allclose(answer["probabilities"], wanted, rtol=0, atol=1e-6)
        assert np.array_equal(answer["labels"], run.policy.decide(answer["probabilities"].numpy()))


def test_another_checkpoint_with_its_own_weights_and_image_size(run, finished_run, images, tmp_path):
    first = polytag.load_run(finished_run, checkpoint="phase_0")
    first.export(tmp_path / "first.pt2")
    module, facts = load(tmp_path / "first.pt2")
    assert facts["image_size"] == 32
    small = images[:, :, :32, :32]
    with torch.no_grad():
        expected, of_the_last = (one.activation(one.network(small)) for one in (first, run))
    np.testing.assert_allclose(module(small)["probabilities"], expected, rtol=0, atol=1e-6)
    assert (expected - of_the_last).abs().max() > 1e-4
    with pytest.raises(AssertionError):
        module(images)  # no other size


@pytest.mark.parametrize("head", ["csra", "ml_decoder"])
def test_heads_with_attention_and_shared_probabilities(run, images, tmp_path, head):
    network = build.build(run.config.model, head=head, num_classes=3, classes=run.classes).eval()
    other = replace(run, network=network, activation=Activation("sigmoid", ((0, 2),)))
    other.export(tmp_path / "run.pt2")
    module, _ = load(tmp_path / "run.pt2")
    with torch.no_grad():
        expected = other.activation(network(images))
    for size in (1, 5):
        np.testing.assert_allclose(module(images[:size])["probabilities"], expected[:size], rtol=0, atol=1e-6)


def test_the_run_stays_as_it_is(run, images, tmp_path):
    weights = {name: (value.data_ptr(), value.stride()) for name, value in run.network.state_dict().items()}
    gradients = [parameter.requires_grad for parameter in run.network.parameters()]
    run.network.train()
    run.export(tmp_path / "run.pt2")
    assert run.network.training
    run.network.eval()
    assert weights == {name: (value.data_ptr(), value.stride()) for name, value in run.network.state_dict().items()}
    assert gradients == [parameter.requires_grad for parameter in run.network.parameters()] and any(gradients)
    module, _ = load(tmp_path / "run.pt2")  # in evaluation mode all the same
    with torch.no_grad():
        expected = run.activation(run.network(images))
    np.testing.assert_allclose(module(images)["probabilities"], expected, rtol=0, atol=1e-6)


def test_a_file_that_exists_is_replaced_only_on_demand(run, tmp_path):
    file = tmp_path / "run.pt2"
    file.write_text("mine")
    with pytest.raises(UserError, match=r"run\.pt2 exists already\. Name another file, or add overwrite=True\.$"):
        run.export(file)
    assert file.read_text() == "mine"
    run.export(str(file), overwrite=True)
    assert load(file)[1]["classes"] == list(run.classes)


def test_a_policy_of_ones_own_is_refused(run, tmp_path):
    class Mine:
        def decide(self, probabilities):
            return probabilities > 0

    for policy in (Mine(), ExclusivePolicy(((0, 1),), Mine())):
        with pytest.raises(UserError, match=r"^Mine is no policy that can be exported"):
            replace(run, policy=policy).export(tmp_path / "run.pt2")
    assert not (tmp_path / "run.pt2").exists()
