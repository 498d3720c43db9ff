"""The training of `train` with the same overrides as a plain loop, and nothing else: one whole process.

The same network, weights, loaders, loss, optimizer, phases and rates; a validation after each epoch with its mAP. No
Lightning, no files, no other scores. Prints the mAP of the last epoch and of the best one as JSON. Nothing in the
default network draws at random while it trains, so there is nothing to seed at each batch.
"""

import argparse
import itertools
import json

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from polytag import build
from polytag.allocator import keep_freed_memory
from polytag.build_trainer import build_compute
from polytag.commands import conf_dir
from polytag.data.label_table import TRAIN, VAL
from polytag.data.loaders import Loader, evaluation_loader, train_loader
from polytag.metrics.evaluation import Evaluation
from polytag.metrics.ranking_scores import average_precision
from polytag.models.layer_groups import layer_groups
from polytag.models.network import Network
from polytag.schedule.freeze import freeze
from polytag.schedule.group_lr import set_momentum
from polytag.schedule.recipe import position_at


@torch.inference_mode()
def validate(network: Network, loader: Loader, device: torch.device) -> float:
    """Return the mAP of the validation rows."""
    network.eval()
    outputs = [(network(batch.images.to(device)).float().sigmoid().cpu(), batch.targets) for batch in loader]
    probabilities, targets = (torch.cat(column) for column in zip(*outputs, strict=True))
    return float(average_precision(Evaluation(probabilities, targets, probabilities >= 0.5)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="as of `train`")
    overrides = parser.parse_args().overrides
    keep_freed_memory()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["paths.output=nowhere", *overrides])
    pl.seed_everything(config.seed, workers=False, verbose=False)
    table, recipe = build.build_table(config.data), build.build_recipe(config)
    classifier = build.build_classifier(config, table, recipe)
    device = build_compute(config.trainer).device
    network, criterion = classifier.to(device).network, classifier.criterion
    optimizer, transforms = classifier.configure_optimizers(), build.build(config.transforms)
    scores: list[float] = []
    epochs = itertools.count()
    for phase in recipe.phases:
        options = (phase.batch_size or config.data.batch_size, config.data.num_workers)
        train = train_loader(table.part(TRAIN), transforms, phase, *options, config.seed)
        val = evaluation_loader(table.part(VAL), transforms, phase.image_size, *options)
        optimizer.state.clear()
        for epoch in itertools.islice(epochs, phase.epochs):
            train.sampler.set_epoch(epoch)
            freeze(network, layer_groups(network), phase.frozen)
            for index, batch in enumerate(train):
                position = position_at(epoch, index, len(train))
                rates = recipe.group_lrs(position)
                set_momentum(optimizer, recipe.momentum(position))
                for group in optimizer.param_groups:
                    group["lr"] = rates[group["name"]]
                loss = criterion(network(batch.images.to(device)), batch.targets.to(device).float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            scores.append(validate(network, val, device))
    print(json.dumps({"last": scores[-1], "best": max(scores), "epoch": scores.index(max(scores))}))


if __name__ == "__main__":
    main()
