"""A side: a bare training loop over what `train` would build from the same overrides, one epoch a turn.

The same network, weights, loader, loss and optimizer; no Lightning, no scores, no files.
"""

import itertools
import sys

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from sides import seconds, serve

from polytag import build
from polytag.allocator import keep_freed_memory
from polytag.commands import conf_dir
from polytag.data.label_table import TRAIN
from polytag.data.loaders import train_loader
from polytag.models.layer_groups import layer_groups
from polytag.schedule.freeze import freeze


def prepare(overrides):
    """Return what `train` would train, its optimizer and its loader."""
    keep_freed_memory()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["data.val_fraction=0", "paths.output=nowhere", *overrides])
    pl.seed_everything(config.seed, verbose=False)
    table, recipe = build.build_table(config.data), build.build_recipe(config)
    phase, rows = recipe.phases[0], table.part(TRAIN)
    classifier = build.build_classifier(config, table, recipe)
    optimizer = classifier.configure_optimizers()
    for group in optimizer.param_groups:
        group["lr"] = phase.lr
    cache, transforms = build.build_cache(config), build.build(config.transforms)
    if cache is not None:
        cache.fill(rows, [transforms.presized(phase.image_size)])
    loader = train_loader(rows, transforms, phase, config.data.batch_size, 0, config.seed, cache=cache)
    freeze(classifier.network, layer_groups(classifier.network), phase.frozen)
    return classifier, optimizer, loader


def main():
    classifier, optimizer, loader = prepare(sys.argv[1:])
    epochs = itertools.count()

    def epoch():
        loader.sampler.set_epoch(next(epochs))
        for batch in loader:
            loss = classifier.criterion(classifier.network(batch.images), batch.targets.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert torch.isfinite(loss)

    serve(lambda: seconds(epoch))


if __name__ == "__main__":
    main()
