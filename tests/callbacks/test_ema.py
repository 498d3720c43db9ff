"""The average of the weights: its arithmetic, what scores it, what checkpoints hold of it."""

import csv

import pytest
import torch
from conftest import TINY

from polytag import load_run
from polytag.callbacks.ema import EMA
from polytag.errors import UserError
from polytag.models.average import WeightAverage
from polytag.models.network import build_network


def test_the_average_by_hand():
    network = build_network("test_resnet", "none", "linear", 2)
    average = WeightAverage(network, decay=0.5)
    bias, statistics = network.head.fc.bias, network.backbone.bn1.running_mean
    seen = []
    for value in (1.0, 2.0, 4.0, 8.0):
        with torch.no_grad():
            bias.fill_(value)
            statistics.fill_(10 * value)
        average.update(network)
        seen.append(average.state_dict()["head.fc.bias"][0].item())
    # Step 0 copies; then the decay is min(0.5, (1 + n) / (10 + n)) = 2/11, 3/12, 4/13.
    second = 1 * 2 / 11 + 2 * 9 / 11
    third = second * 3 / 12 + 4 * 9 / 12
    assert seen == pytest.approx([1, second, third, third * 4 / 13 + 8 * 9 / 13])
    assert average.state_dict()["backbone.bn1.running_mean"][0].item() == pytest.approx(10 * seen[-1])
    assert average.steps == 4
    assert not average.network.training


def test_the_decay_is_what_was_asked_for_after_the_first_steps():
    network = build_network("test_resnet", "none", "linear", 2)
    average = WeightAverage(network, decay=0.5)
    average.load(network.state_dict(), steps=1000)
    start = network.head.fc.weight.detach().clone()
    with torch.no_grad():
        network.head.fc.weight.add_(1.0)
    average.update(network)
    assert torch.allclose(average.state_dict()["head.fc.weight"], start + 0.5)


@pytest.fixture(scope="module")
def averaged_run(csv_data, tmp_path_factory):
    from hydra import compose, initialize_config_dir

    from polytag.commands import conf_dir
    from polytag.run_folder import RunFolder
    from polytag.train import train

    folder = tmp_path_factory.mktemp("averaged")
    overrides = [*TINY, "data=csv", f"data.root={csv_data}", "recipe.image_sizes=[32]", "recipe.epochs=[2,2]"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", [*overrides, f"paths.output={folder}", "callbacks=[checkpoint,ema]"])
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(config, RunFolder(folder))
    return folder


def test_val_scores_the_average_and_val_raw_the_weights_in_training(averaged_run):
    from polytag.data.csv import read_csv
    from polytag.data.loaders import evaluation_loader
    from polytag.inference.loaded_run import read_checkpoint
    from polytag.inference.predictor import predict_probabilities
    from polytag.models.classifier import network_weights

    with open(averaged_run / "metrics.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert {"val/map", "val_raw/map", "val/loss", "val_raw/loss"} <= set(last)
    assert last["val/loss"] != last["val_raw/loss"]

    run = load_run(averaged_run, "last")
    content = read_checkpoint(averaged_run / "checkpoints/last.ckpt")
    names = run.predictions()["image"]
    table = read_csv(run.config.data.root, file="labels.csv", label_column=run.config.data.label_column)
    rows = table.rows([list(table.names).index(name) for name in names])
    targets = torch.from_numpy(rows.targets).double()
    loader = evaluation_loader(rows, run.transforms, run.image_size, 4, 0)
    for key, column in (("state_dict", "val/loss"), ("raw_state_dict", "val_raw/loss")):
        run.network.load_state_dict(network_weights(content[key]))
        found = torch.from_numpy(predict_probabilities(run.network, loader, torch.device("cpu"))).double()
        expected = torch.nn.functional.binary_cross_entropy(found, targets)
        assert float(last[column]) == pytest.approx(float(expected), rel=1e-4), column


def test_checkpoints_hold_the_weights_they_were_scored_with(averaged_run):
    content = torch.load(averaged_run / "checkpoints/best.ckpt", weights_only=True)
    same = [torch.equal(content["state_dict"][name], content["raw_state_dict"][name]) for name in content["state_dict"]]
    assert not all(same)
    assert content["average_steps"] > 0
    assert content["state_dict"].keys() == content["raw_state_dict"].keys()


def test_an_impossible_decay_is_refused():
    with pytest.raises(UserError, match="between 0 and 1, not 1"):
        EMA(1.0)
