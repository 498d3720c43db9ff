"""`evaluate run=DIR`: the scores of a run's checkpoint on labelled images, its own or others."""

import csv
import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from polytag.commands import command
from polytag.errors import UserError
from polytag.run_options import register_run_options

if TYPE_CHECKING:
    from polytag.inference.predicted import Predicted
    from polytag.inference.scoring import Result
    from polytag.policy.cross_fit import Found
    from polytag.run_folder import RunFolder


log = logging.getLogger(__name__)


@command("evaluate", before=register_run_options)
def main(config: DictConfig) -> None:
    """Score, print the table beside the trivial baselines, write summary.json and predictions.csv."""
    if OmegaConf.is_missing(config, "run"):
        raise UserError("Which run? evaluate run=FOLDER, the path that `train` printed at its end.")
    from polytag import build, check_config
    from polytag.inference.predicted import computed, stored, takes_stored
    from polytag.inference.thresholds import checked_thresholds, score_thresholds
    from polytag.metrics.bootstrap import bootstrap, checked_resamples, interval
    from polytag.run_folder import RunFolder, plain_values, refuse_existing, write_predictions
    from polytag.tracking import console
    from polytag.tracking.threshold_plot import plot_thresholds

    check_config.check_keys(config, "evaluate")
    folder = RunFolder.existing(config.run)
    out = Path(config.out) if config.out else folder.path / "evaluation" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    refuse_existing(out / "summary.json", config.overwrite)
    wanted, metrics = checked_thresholds(plain_values(config)["thresholds"]), build.build_metrics(config)
    resamples = None if config.bootstrap is None else checked_resamples(config.bootstrap)
    chosen = HydraConfig.get().runtime.choices
    predicted = stored(config, folder) if takes_stored(config, chosen, folder) else computed(config, chosen)
    result, found = score_rows(config, folder, predicted, metrics)
    intervals = None
    if resamples is not None:
        drawn = bootstrap(metrics, result.evaluation, resamples, config.bootstrap_seed)
        intervals = {name: interval(values) for name, values in drawn.items()}
    rows = predicted.table
    title = f"Scores of {config.checkpoint} on the {len(rows):,} images of split={predicted.split}"
    title += predicted.facts.pop("note")
    console.print_scores(title, result.columns(), result.notes(), intervals)
    if found.search is not None:
        console.print_search(found.search)
    if wanted:
        at_thresholds = score_thresholds(predicted.probabilities, rows.targets, predicted.frequencies, metrics, wanted)
        console.print_thresholds(at_thresholds.rows(wanted))
        write_rows(out / "thresholds.csv", at_thresholds.rows(at_thresholds.thresholds))
        plot_thresholds(at_thresholds, wanted, out / "thresholds.png")
    write_predictions(out / "predictions.csv", rows.names, rows.classes, predicted.probabilities, targets=rows.targets)
    write_classes(out / "per_class.csv", result, found)
    folder.write_json(
        out / "summary.json",
        {
            "run": str(folder.path),
            "checkpoint": config.checkpoint,
            "images": len(rows),
            **predicted.facts,
            "scores": result.scores,
            "intervals": intervals,
            "optimistic": result.optimistic,
            "baselines": result.baselines,
            "undefined_classes": list(result.undefined),
            "undefined_auc": list(result.undefined_auc),
            "policy": found.to_dict(rows.classes),
        },
    )
    print(f"Written to {out}")


def score_rows(
    config: DictConfig, folder: "RunFolder", predicted: "Predicted", metrics: Any
) -> tuple["Result", "Found"]:
    """Return scores and policy; one that has to be found is found on the validation images, and held out there."""
    from polytag import build
    from polytag.inference.scoring import score
    from polytag.policy.advice import advise
    from polytag.policy.cross_fit import Found, find
    from polytag.policy.search import Search
    from polytag.run_folder import read_predictions

    rows, probabilities = predicted.table, predicted.probabilities
    run_config = folder.read_config()
    groups_here = config.data.get("exclusive_groups")
    asked = build.build_policy(config.policy, rows.classes, config.data if groups_here else run_config.data)
    if not isinstance(asked, Search):
        found = Found(asked)
    elif predicted.are_validation:
        found = find(asked, probabilities, rows.targets)
    elif build.is_same(config.policy, run_config.policy):
        found = predicted.found
    else:
        basis = read_predictions(folder.predictions("val"))
        found = find(asked, basis.probabilities, basis.targets)
    for line in advise(asked, rows.targets, rows.classes):
        log.warning(line)
    decider = found.held_out if predicted.are_validation and found.held_out else found.policy
    labels = decider.decide(probabilities)
    flattered = found.policy if decider is found.held_out else None
    return score(rows, probabilities, labels, flattered, asked, predicted.frequencies, metrics), found


def write_classes(file: Path, result: "Result", found: "Found") -> None:
    """Write one row a class: its scores, its counts and its threshold."""
    from dataclasses import asdict

    from polytag.metrics.per_class import class_scores

    thresholds = found.policy.to_dict(result.table.classes)["thresholds"]
    scores = class_scores(result.evaluation, result.table.classes)
    write_rows(file, [{**asdict(score), "threshold": thresholds.get(score.name)} for score in scores])


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a CSV file; an undefined number is an empty cell."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow("" if value is None or value != value else value for value in row.values())


if __name__ == "__main__":
    main()
