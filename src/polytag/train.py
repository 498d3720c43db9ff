"""`train`: from a config to a fine-tuned classifier and a folder that says what happened."""

import logging
import math
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from polytag.commands import command
from polytag.data.label_table import TEST, TRAIN, VAL
from polytag.first_rank import first_rank_first, let_others_go_on, quiet_overrides
from polytag.resume import take_config_from_run
from polytag.sweep.resuming import take_sweep_from_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytorch_lightning as pl

    from polytag.data.label_table import LabelTable
    from polytag.inference.loaded_run import LoadedRun
    from polytag.inference.scoring import Result
    from polytag.metrics.scores import Score
    from polytag.models.classifier import Classifier
    from polytag.policy.cross_fit import Found
    from polytag.run_folder import RunFolder
    from polytag.schedule.recipe import Recipe
    from polytag.sweep.reporting import JobRecord


log = logging.getLogger(__name__)

# What Lightning says in a training, and why it is no news here.
KNOWN_WARNINGS = (
    ".*does not have many workers.*",  # their number is chosen for the machine, or by the user
    ".*smaller than the logging interval.*",  # small data sets have fewer batches than log_every_n_steps
    ".*module.s. in eval mode at the start of training.*",  # frozen groups are, on purpose
    ".*It is recommended to use `self.log.*sync_dist=True.*",  # scores are computed from the outputs of all ranks
    ".*Total length of `.*` across ranks is zero.*",  # data.val_fraction=0 leaves nothing to validate, as asked
    ".*dataloader is not resumable.*",  # our sampler asks how many batches are done
    ".*`srun` command is available.*",  # fit() looks for Slurm although build_trainer has said where this runs
    ".*isinstance.treespec, LeafSpec.*",  # pytorch-lightning 2.6.6 asks torch 2.15 in a deprecated way
)


def more_overrides(overrides: "Sequence[str]") -> list[str]:
    """Return what is added to a command line: what a run or a sweep goes on with, and silence but for one process."""
    return [*take_config_from_run(overrides), *take_sweep_from_ledger(overrides), *quiet_overrides()]


@command("train", before=more_overrides)
def main(config: DictConfig) -> float:
    """Train one run, and return its best score for a sweep."""
    from polytag import build, check_config
    from polytag.preflight import check_ranks
    from polytag.resume import refuse_changes
    from polytag.run_folder import RunFolder
    from polytag.sweep.running import job_of_sweep

    check_ranks(config.trainer)
    check_config.check_sweep(config, "train")
    check_config.check_keys(config, "train")
    check_config.check_run(config)
    build.absolute_paths(config)
    folder = RunFolder(config.paths.output)
    with first_rank_first(folder), job_of_sweep(config, folder) as job:
        if folder.is_finished:
            refuse_changes(folder, config)
            log.info(f"The run in {folder.path} is finished: see {folder.summary_file}.")
        else:
            train(config, folder, job)
    return best_score(folder)


def train(config: DictConfig, folder: "RunFolder", job: "JobRecord | None" = None) -> None:
    """Train, score and write one run. Everything that can be wrong with the input is found before the training.

    Args:
        config: Of `train`.
        folder: Where the run goes, or is gone on with.
        job: Of a sweep, which is told each epoch's score and may stop the training.
    """
    start = time.perf_counter()
    import pytorch_lightning as pl

    from polytag import build, check_config
    from polytag.allocator import keep_freed_memory
    from polytag.build_trainer import build_trainer, check_sharding, prepare_batch_norm
    from polytag.data.datamodule import DataModule
    from polytag.data.split import label_shift
    from polytag.data.statistics import describe
    from polytag.dry_run import dry_run
    from polytag.models.summary import list_blocks
    from polytag.resume import checkpoint_to_resume, refuse_other_data, refuse_other_network, seconds_until
    from polytag.run_folder import write_atomically
    from polytag.settle import settle, settle_lr_scale
    from polytag.tracking import console
    from polytag.tracking.loggers import recorded
    from polytag.tracking.model_table import describe_network, model_text, print_groups
    from polytag.tracking.recipe_plot import plot_recipe
    from polytag.tracking.recipe_table import print_recipe

    keep_freed_memory()
    check_config.check_monitor(config)
    if config.recipe.get("lr") != "auto":
        build.build_recipe(config)  # a mistake in it is known before the data are read
    resume_from = checkpoint_to_resume(folder, config)
    pl.seed_everything(config.seed, workers=False, verbose=False)
    table = build.build_table(config.data)
    for line in describe(table):
        log.info(line)
    if len(table.part(VAL)):
        log.info(f"largest difference of a label's share between val and train+val: {label_shift(table).max():.4f}")
    console.print_labels(table)
    if resume_from is not None:
        start -= seconds_until(resume_from)
        refuse_other_data(resume_from, table, config.allow_changes)
    settle(config, table, folder)
    recipe = build.build_recipe(config).scaled(settle_lr_scale(config, folder))
    check_sharding(config, recipe)
    classifier = build.build_classifier(config, table, recipe)
    if resume_from is not None:
        refuse_other_network(resume_from, classifier)
    build.check_parts(config, table, classifier.network, classifier.criterion, recipe)
    build.check_image_sizes(classifier.network, recipe)
    build.check_tta(config, classifier.network, recipe)
    log.info(f"Weights: {classifier.network.weights_report}")
    datamodule = DataModule(
        table,
        build.build(config.transforms),
        recipe.phase_at,
        config.data.batch_size,
        config.data.num_workers,
        config.seed,
        build.build_cache(config),
        build.build_feature_cache(config),
        build.data_options(config.data).sampling,
    )
    prepare_batch_norm(config, recipe, classifier.network)
    trainer = build_trainer(config, folder, recipe, classifier.network, job)
    if config.dry_run:
        dry_run(recipe, classifier, datamodule, trainer, folder.path / "recipe.png")
        return
    if config.print_config:  # not before: an error should not stand below two hundred lines
        console.print_config(config)
    print_recipe(recipe, classifier.network, config.data.batch_size)
    blocks = list_blocks(classifier.network, recipe.image_sizes)
    print_groups(blocks, recipe, describe_network(classifier.network))
    if trainer.is_global_zero:
        folder.write_config(config, again=config.allow_changes)
        write_atomically(folder.model_file, model_text(blocks, recipe, describe_network(classifier.network)))
        plot_recipe(recipe, folder.plots / "recipe.png")
    datamodule.fill_cache(recipe)
    let_others_go_on(folder)
    with recorded(trainer.loggers, config, classifier):
        if config.train:
            fit(trainer, classifier, datamodule, resume_from)
        if job is not None and job.ledger.job(job.number).is_finished:
            log.info(f"Pruned: other jobs of the sweep were better by now. {how_to_go_on(trainer)}")
            return
        if trainer.is_global_zero:
            finish(config, folder, table, classifier, recipe, start, trainer)
    if trainer.is_global_zero:
        log.info(f"Run folder: {folder.path}")  # below what loggers say at their end


def fit(
    trainer: "pl.Trainer", classifier: "Classifier", datamodule: "pl.LightningDataModule", resume_from: Any
) -> None:
    """Run the recipe, from a checkpoint where there is one.

    Raises:
        SystemExit: Something ended it, with an exit code as a shell has them: 130 for Ctrl-C, 143 for SIGTERM, 138 for
            SIGUSR1, 124 for the limit of time.
    """
    import warnings

    from torch.multiprocessing.spawn import ProcessExitedException

    with warnings.catch_warnings():
        for message in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message)
        if resume_from is not None:
            log.info(f"Going on from {resume_from}.")
        try:
            trainer.fit(classifier, datamodule=datamodule, ckpt_path=resume_from, weights_only=True)
        except (SystemExit, ProcessExitedException) as stop:
            if (code := stop_code(stop)) is None:
                raise
            if trainer.is_global_zero:
                place = f" in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"  # forks know, we do not
                log.info(f"Stopped{place * isinstance(stop, SystemExit)}. {how_to_go_on(trainer)}")
            sys.exit(code)


def stop_code(stop: BaseException) -> int | None:
    """Return the exit code of a training that was stopped, also of one in forked processes; None of one that failed."""
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    from polytag.callbacks.stopping import TIME_IS_UP, Stopped

    if isinstance(stop, SIGTERMException):  # Lightning's: before the first batch, or without callbacks.stopping
        return 128 + signal.SIGTERM
    if isinstance(stop, Stopped):
        return int(stop.code or 0)
    if isinstance(stop, SystemExit):  # 1 is what Lightning makes of Ctrl-C in those cases; others are not ours
        return 128 + signal.SIGINT if stop.code == 1 else None
    code = getattr(stop, "exit_code", 0)
    return code if code >= TIME_IS_UP else None


def how_to_go_on(trainer: "pl.Trainer") -> str:
    """Return what to do with a run that has been stopped."""
    folder = Path(trainer.default_root_dir)
    if not (folder / "checkpoints" / "last.ckpt").exists():
        return "There is no checkpoint yet: the same command starts again."
    again = f"the same command with hydra.run.dir={folder}"
    return f"To go on from the last checkpoint, give {again}, or: train resume={folder}"


def finish(
    config: DictConfig,
    folder: "RunFolder",
    table: "LabelTable",
    classifier: "Classifier",
    recipe: "Recipe",
    start: float,
    trainer: "pl.Trainer",
) -> None:
    """Score the best checkpoint on the validation rows and on any test rows; write what people read."""
    from polytag import build
    from polytag.inference.loaded_run import load_run, store_policy, untrained_run
    from polytag.tracking import console
    from polytag.tracking.loggers import deliver
    from polytag.tracking.media import Media, make_media
    from polytag.tracking.plots import write_plots
    from polytag.tracking.report import Reported, write_report
    from polytag.tracking.style import left_out_if_it_fails
    from polytag.tracking.summary import summarise

    has_trained = folder.checkpoint("best").exists()
    if has_trained:
        run = load_run(folder.path, policy=classifier.policy)
    else:
        run = untrained_run(config, folder, table, classifier, recipe)
    asked = build.build_policy(config.policy, table.classes, config.data)
    results, with_tta, found = score_splits(config, run, table, asked, classifier.metrics)
    for split, result in results.items():
        title = f"Scores of the best checkpoint on the {len(result.table):,} {split} images"
        tta_scores = {"with TTA": with_tta[split].scores} if split in with_tta else {}
        own, *beside = result.columns().items()
        console.print_scores(title, dict([own]) | tta_scores | dict(beside), result.notes())
        result.write(folder, split)
    if found.search is not None:
        console.print_search(found.search)
        if has_trained:
            store_policy(folder, found.policy, table.classes)
    folder.write_json(folder.policy_file, found.to_dict(table.classes))
    if config.report:
        write_plots(folder, recipe, (config.monitor.metric, config.monitor.mode), results.get(VAL), run)
    tta_scores = {split: result.scores for split, result in with_tta.items()}
    summary = summarise(config, folder, table, results, tta_scores, time.perf_counter() - start)
    if config.report:
        write_report(Reported(config, folder, recipe, classifier.metrics, results, found, summary, run))
    if trainer.loggers:
        media = Media()
        with left_out_if_it_fails("What dashboards get to look at"):
            thresholds = found.policy.to_dict(table.classes)["thresholds"]
            media = make_media(folder, results.get(VAL) if config.report else None, thresholds)
        deliver(trainer.loggers, config, folder, media, summary, trainer.global_step)
    folder.write_json(folder.summary_file, summary)  # last: its presence says that the run is done


def score_splits(
    config: DictConfig, run: "LoadedRun", table: "LabelTable", asked: Any, metrics: "Mapping[str, Score]"
) -> tuple[dict[str, "Result"], dict[str, "Result"], "Found"]:
    """Return the results of each split, those with test-time augmentation, and the policy with how it was found.

    Thresholds are searched on the validation rows, without test-time augmentation.
    """
    from polytag import build
    from polytag.data.statistics import shares
    from polytag.inference.predictor import choose_device
    from polytag.inference.scoring import score
    from polytag.inference.tta import NoTTA
    from polytag.policy.cross_fit import Found, find

    loading = {"batch_size": config.data.batch_size, "num_workers": config.data.num_workers}
    loading["cache"] = build.build_cache(config)
    loading["device"] = choose_device("cpu" if config.trainer.accelerator == "cpu" else "auto")
    tta = build.build_tta(config.tta, config.data)
    learned = {"asked": asked, "frequencies": shares(table.part(TRAIN)), "metrics": metrics}
    results: dict[str, Result] = {}
    with_tta: dict[str, Result] = {}
    found = Found(run.policy)
    for split in (VAL, TEST) if config.test else (VAL,):
        if not len(rows := table.part(split)):
            continue
        views = {"": run.predict(rows, **loading)}
        if not isinstance(tta, NoTTA):
            views["tta"] = run.predict(rows, tta=tta, **loading)
        if split == VAL:
            found = find(asked, views[""], rows.targets)
        for name, probabilities in views.items():
            decider = found.held_out if split == VAL and found.held_out else found.policy
            labels = decider.decide(probabilities)
            flattered = found.policy if decider is found.held_out else None
            (with_tta if name else results)[split] = score(rows, probabilities, labels, flattered, **learned)
    return results, with_tta, found


def best_score(folder: "RunFolder") -> float:
    """Return the monitored score of a finished run."""
    if not folder.is_finished:  # another rank than the first, or train=false without validation rows
        return math.nan
    best = folder.read_summary()["monitor"]["best"]
    return math.nan if best is None else float(best)


if __name__ == "__main__":
    main()
