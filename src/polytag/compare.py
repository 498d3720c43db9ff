"""`compare`: which run is best, what is different about it, and was it luck?"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from polytag.commands import command
from polytag.errors import UserError

if TYPE_CHECKING:
    from polytag.comparison.comparison import Bootstrap
    from polytag.comparison.paired import Compared
    from polytag.comparison.row import Row


@command("compare")
def main(config: DictConfig) -> None:
    """Print the leaderboard, compare what was scored on the same images, and write the page."""
    from polytag import build, check_config
    from polytag.comparison.comparison import Bootstrap, best_pairs, listed_runs, make_comparison
    from polytag.comparison.discovery import find_runs
    from polytag.comparison.leaderboard import rank
    from polytag.comparison.page import write_comparison
    from polytag.comparison.paired import read_compared
    from polytag.comparison.row import read_rows
    from polytag.comparison.terminal import print_leaderboard
    from polytag.metrics.bootstrap import checked_resamples
    from polytag.run_folder import RunFolder, refuse_existing

    check_config.check_keys(config, "compare")
    resamples = checked_resamples(config.bootstrap)
    bootstrap = Bootstrap(build.build_metrics(config), resamples, config.bootstrap_seed, config.split)
    page, numbers = outputs(config.out, Path(config.paths.logs))
    for file in filter(None, (page, numbers)):
        refuse_existing(file, config.overwrite or config.out is None)
    asked = list(config.runs) if isinstance(config.runs, ListConfig) else config.runs
    found = find_runs(asked, Path(config.paths.logs))
    rows = read_rows(found.paths)
    board = rank(rows, config.metric)
    print_leaderboard(board)
    comparison = make_comparison(board, bootstrap)
    pairs, guess = best_pairs(comparison), None
    if found.are_named:
        by_path = {row.folder.path.resolve(): row for row in rows}
        named = [by_path[path.resolve()] for path in found.paths]
        compared = read_compared([row for row in named if not row.broken], config.split)
        pairs, guess = print_pairs(compared, bootstrap)
    elif comparison.warning:
        print(comparison.warning)
    write_comparison(page, comparison)
    print(f"Page: {page}")
    if numbers is not None:
        content = {"split": config.split, "metric": board.metric, "pairs": pairs, "label_frequency": guess}
        RunFolder(numbers.parent).write_json(numbers, content | {"runs": listed_runs(board)})
        print(f"Written to {numbers}")
    if found.are_named:
        refuse_left_out([(row, row.broken) for row in named if row.broken] + compared.left_out)


def outputs(out: str | None, logs: Path) -> tuple[Path, Path | None]:
    """Return where the page goes, and where the numbers go, if anywhere."""
    if out is None:
        now = datetime.now()
        return logs / "compare" / now.strftime("%Y-%m-%d") / now.strftime("%H-%M-%S") / "compare.html", None
    file = Path(out)
    return (file, None) if file.suffix == ".html" else (file.with_name(f"{file.stem}.html"), file)


def print_pairs(compared: "Compared", bootstrap: "Bootstrap") -> tuple[list[dict[str, Any]], dict[str, float] | None]:
    """Compare the first run with each of the others; return what was printed."""
    from polytag.comparison.paired import describe_policies, guessing, read_evaluations
    from polytag.metrics.bootstrap import paired_bootstrap
    from polytag.tracking import console

    evaluations = read_evaluations(compared, bootstrap.split, len(compared.rows))
    for _, reason in compared.left_out:
        print(f"Not compared: {reason}")
    if len(evaluations) < 2:
        return [], None
    (first, a), *others = evaluations
    guess, pairs = guessing(first.folder, compared.predictions[0], bootstrap.metrics), []
    for row, b in others:
        found = paired_bootstrap(bootstrap.metrics, a, b, bootstrap.resamples, bootstrap.seed)
        title = f"A = {first.folder.path}, B = {row.folder.path}: the same {len(a):,} {bootstrap.split} images"
        console.print_differences(title, found, guess)
        if line := describe_policies(first, row):
            print(line)
        numbers = {name: asdict(difference) for name, difference in found.items()}
        pair = {"a": str(first.folder.path), "b": str(row.folder.path), "images": len(a), "differences": numbers}
        pairs.append(pair)
    return pairs, guess


def refuse_left_out(left_out: "Sequence[tuple[Row, str]]") -> None:
    """Raise where a run was named and could not be compared with the others; the page is written by then.

    Raises:
        UserError: The first one, and why.
    """
    if left_out:
        (row, reason), *others = left_out
        more = f" So it is with {len(others):,} more, see above." if others else ""
        raise UserError(f"{row.folder.path} was named and could not be compared: {reason.removesuffix('.')}.{more}")


if __name__ == "__main__":
    main()
