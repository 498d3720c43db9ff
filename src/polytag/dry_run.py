"""`train dry_run=true`: what a recipe will take, from a few real steps of each of its phases."""

import logging
from pathlib import Path

import pytorch_lightning as pl

from polytag.data.datamodule import DataModule
from polytag.models.classifier import Classifier
from polytag.phase_costs import MEASURED, estimate
from polytag.schedule.recipe import Recipe
from polytag.tracking.recipe_plot import plot_recipe
from polytag.tracking.recipe_table import print_recipe

log = logging.getLogger(__name__)


def dry_run(recipe: Recipe, classifier: Classifier, data: DataModule, trainer: pl.Trainer, path: Path) -> None:
    """Print the recipe with its costs and draw it. The classifier is spoilt afterwards.

    Args:
        recipe: The phases.
        classifier: As the training would start with it.
        data: Gives the rows and how they are loaded.
        trainer: Gives device, precision, ranks and limits; it is not started.
        path: Where the picture goes.
    """
    if not trainer.is_global_zero:
        return
    costs = estimate(recipe, classifier, data, trainer)
    print_recipe(recipe, classifier.network, data.batch_size, costs)
    plot_recipe(recipe, path)
    log.info(
        f"Dry run: nothing is trained. The time is an estimate for {trainer.strategy.root_device}, with validation and "
        f"without the scores at the end, from {MEASURED} batches of each phase. Picture: {path}"
    )
