"""`report.html`: a run on one page that needs no other file and no network."""

import logging
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from markupsafe import Markup
from omegaconf import DictConfig, OmegaConf

from polytag.data.label_table import UNKNOWN, VAL
from polytag.inference.class_activation import activation_overlays
from polytag.inference.loaded_run import LoadedRun
from polytag.inference.scoring import Result
from polytag.metrics.calibration import calibration_error, reliability
from polytag.metrics.curves import ALL, curves
from polytag.metrics.per_class import class_scores
from polytag.metrics.scores import Score
from polytag.policy.cross_fit import Found
from polytag.run_folder import RunFolder
from polytag.schedule.recipe import Recipe
from polytag.tracking import report_tables as tables
from polytag.tracking.config_differences import default_config, differences
from polytag.tracking.page import inline_svg, write_page
from polytag.tracking.plots import history_figure
from polytag.tracking.public_config import public_override
from polytag.tracking.recipe_plot import recipe_figure
from polytag.tracking.report_charts import precision_recall_chart, reliability_chart, threshold_chart
from polytag.tracking.report_pictures import picture_groups

log = logging.getLogger(__name__)

GRID = np.linspace(0, 1, 101)  # thresholds
COLOURED = 4  # lines at first: as many as the page has colours for


@dataclass(frozen=True)
class Reported:
    """What a report is made of.

    Attributes:
        config: The run's config.
        folder: The run, with its history written.
        recipe: What it was trained by.
        metrics: Name -> score.
        results: The results of each scored split.
        found: How probabilities become labels.
        summary: What summary.json will hold.
        run: What predicted them, to show where it sees labels.
    """

    config: DictConfig
    folder: RunFolder
    recipe: Recipe
    metrics: Mapping[str, Score]
    results: Mapping[str, Result]
    found: Found
    summary: Mapping[str, Any]
    run: LoadedRun | None = None

    @cached_property
    def split(self) -> str | None:
        """The split that is looked at closely: the validation images, else the test images; None without either."""
        return VAL if VAL in self.results else next(iter(self.results), None)

    @cached_property
    def result(self) -> Result | None:
        """The result of that split."""
        return None if self.split is None else self.results[self.split]

    @cached_property
    def thresholds(self) -> dict[str, float | None]:
        """The policy's, by class."""
        classes = () if self.result is None else self.result.table.classes
        return dict(self.found.policy.to_dict(classes)["thresholds"])


def write_report(run: Reported) -> Path | None:
    """Write the page of a run and return its file.

    What fails is left out, with a warning: a trained run must not be lost for a picture of it.
    """
    parts: dict[str, tuple[str, Callable[[Reported], Any]]] = {
        "scores": ("scores", _scores),
        "training": ("curves of the training", _training),
        "classes": ("classes", _classes),
        "lines": ("curves over the threshold", _lines),
        "calibration": ("calibration", _calibration),
        "matrices": ("labels together", lambda run: run.result and tables.matrices(run.result)),
        "pictures": ("images", _pictures),
        "differences": ("config differences", lambda run: differences(run.config, default_config())),
        "time": ("time", lambda run: tables.time_table(run.summary)),
    }
    content, missing = {}, []
    path = run.folder.path / "report.html"
    for key, (name, make) in parts.items():
        try:
            content[key] = make(run)
        except Exception as error:  # of any library that draws, reads or composes
            log.warning(f"{path} lacks its {name} ({type(error).__name__}: {error}).")
            log.debug("Why:", exc_info=True)
            content[key] = None
            missing.append(name)
    try:
        write_page(path, "report.html.jinja", missing=missing, **_head(run), **content)
    except Exception as error:  # as above, or of the disk
        log.warning(f"{path} is not written ({type(error).__name__}: {error}).")
        return None
    return path


def _head(run: Reported) -> dict[str, Any]:
    config, monitor = run.config, run.summary["monitor"]
    epochs = len(run.folder.read_history())
    return {
        "title": "/".join(run.folder.path.absolute().parts[-2:]),  # by default the date and the time
        "network": config.model.get("backbone", "a network of your own"),
        "data": config.data.get("root", "your data"),
        "notes": config.notes,
        "tags": list(config.tags),
        "monitor": monitor["metric"],
        "best": None if monitor["epoch"] is None else (monitor["best"], monitor["epoch"] + 1, epochs),
        "split": run.split,
        "resamples": tables.RESAMPLES,
        "command": _command(run.folder),
        "config": OmegaConf.to_yaml(config, resolve=True),
    }


def _command(folder: RunFolder) -> str:
    """Return the command line that started the run, without secrets; empty where Hydra has noted none."""
    try:
        overrides = yaml.safe_load((folder.path / ".hydra" / "overrides.yaml").read_bytes())
    except FileNotFoundError:
        return ""
    return " ".join(["train", *(shlex.quote(public_override(str(override))) for override in overrides)])


def _scores(run: Reported) -> list[dict[str, Any]]:
    verdict = (run.found.search or {}).get("verdict", "")
    return [tables.score_table(name, result, run.metrics, run.summary, verdict) for name, result in run.results.items()]


def _training(run: Reported) -> dict[str, Markup]:
    """Return the charts of the training and of its recipe, by title."""
    charts, monitor = {}, run.config.monitor
    if rows := run.folder.read_history():
        words = f"Losses, {monitor.metric} and learning rates over {len(rows)} epochs"
        charts["Curves"] = inline_svg(history_figure(rows, run.recipe, monitor.metric, monitor.mode), "history", words)
    words = f"Image size, frozen groups and learning rates of {len(run.recipe.phases)} phases"
    charts["Recipe"] = inline_svg(recipe_figure(run.recipe), "recipe", words)
    return charts


def _classes(run: Reported) -> list[dict[str, Any]]:
    return [tables.class_table(name, result, run.thresholds) for name, result in run.results.items()]


def _lines(run: Reported) -> dict[str, Any] | None:
    """Return precision over recall and F2 over the threshold, and the classes, of which one chooses the lines.

    The classes of lowest average precision are coloured at first.
    """
    if run.result is None or not (run.result.table.targets == 1).any():
        return None
    table, probabilities = run.result.table, run.result.probabilities
    marked = [value for value in run.thresholds.values() if value is not None and 0 <= value <= 1]
    grid = np.union1d(GRID, marked)
    corners, at_grid = (curves(probabilities, table.targets, table.classes, t) for t in (None, grid))
    precisions = {s.name: s.average_precision for s in class_scores(run.result.evaluation, table.classes)}
    names = [(number, curve.name) for number, curve in enumerate(corners) if curve.name != ALL]
    lowest = {number for number, _ in sorted(names, key=lambda named: precisions[named[1]])[:COLOURED]}
    words = "over the threshold, a line a class; the table of classes has the scores"
    return {
        "precision": inline_svg(precision_recall_chart(corners), "precision", f"Precision and recall {words}"),
        "threshold": inline_svg(threshold_chart(at_grid, run.thresholds), "threshold", f"F2 {words}"),
        "classes": [(number, name, precisions[name], number in lowest) for number, name in names],
    }


def _calibration(run: Reported) -> dict[str, Any] | None:
    if run.result is None or not run.result.evaluation.known.any():
        return None
    found = reliability(run.result.evaluation)
    words = f"Share of true labels over their probability; expected calibration error {found.error:.3f}"
    of_classes = float(calibration_error(run.result.evaluation))
    chart = inline_svg(reliability_chart(found), "reliability", words)
    return {"chart": chart, "together": found.error, "of_classes": of_classes}


def _pictures(run: Reported) -> dict[str, Any] | None:
    if run.result is None:
        return None
    overlays = None if run.run is None else partial(activation_overlays, run.run)
    groups = picture_groups(run.result, overlays)
    has_unknown = bool((run.result.table.targets == UNKNOWN).any())
    return {"groups": groups, "has_unknown": has_unknown}
