"""How long the program takes to start: whole processes, in turn, in wall seconds.

    python benchmarks/startup.py --rounds 5

The first training step is that of the built-in digits, whose scenes are there already; it is compared with a process
that only imports the libraries. Both end at once, without tidying up. With `--template FOLDER`, a clone of
ashleve/lightning-hydra-template, its first step is measured likewise; the first, unmeasured round fetches its data.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from sides import load

HERE = Path(__file__).resolve().parent
MARK = "@@ first step done"  # what side_stop.Stop prints
STOP = "+callbacks.stop._target_=side_stop.Stop"
LIBRARIES = "torch, pytorch_lightning, timm"
CONFIG, HELP, STEP, IMPORTS, TEMPLATE = "config", "help", "step", "imports", "template"


def run(command: Sequence[str], folder: str, mark: str = "") -> str:
    """Run a process, and return its output on both channels; an error, or no mark in it, ends the benchmark."""
    path = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH", ""))))
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode or mark not in done.stdout:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def imported(option: Sequence[str], folder: str) -> set[str]:
    """Return the top-level modules that `train` imports with an option."""
    output = run([sys.executable, "-X", "importtime", "-m", "polytag.train", *option], folder)
    lines = (line for line in output.splitlines() if line.startswith("import time:"))
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


def commands(given: argparse.Namespace, folder: str, runs: Iterator[int]) -> dict[str, list[str]]:
    """Return what is run in a round; each training has a run folder of its own."""
    train = str(Path(sys.executable).with_name("train"))
    place = f"hydra.run.dir={folder}/run_{next(runs)}"
    listed = {
        CONFIG: [train, "--cfg", "job"],
        HELP: [train, "--help"],
        STEP: [train, "print_config=false", f"paths.data={folder}/data", place, STOP],
        IMPORTS: [sys.executable, "-c", f"import os, {LIBRARIES}; os._exit(0)"],
    }
    if given.template:
        overrides = ("++trainer.max_steps=1", "test=False", f"hydra.run.dir={folder}/run_{next(runs)}", STOP)
        listed[TEMPLATE] = [given.template_python, "src/train.py", *overrides]
    return listed


def measure(given: argparse.Namespace, folder: str) -> dict[str, list[float]]:
    """Measure all commands in turn, after a round that does not count, and return the seconds of each."""
    runs, rounds = count(), []
    for _ in range(1 + given.rounds):
        took = {}
        for name, command in commands(given, folder, runs).items():
            start = time.perf_counter()
            run(command, given.template if name == TEMPLATE else folder, MARK if name in (STEP, TEMPLATE) else "")
            took[name] = time.perf_counter() - start
        rounds.append(took)
    return {name: [took[name] for took in rounds[1:]] for name in rounds[0]}


def main() -> None:
    """Print one row a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--template", help="a clone of ashleve/lightning-hydra-template")
    parser.add_argument("--template-python", default=sys.executable, help="the interpreter of its environment")
    given = parser.parse_args()
    given.template = given.template and str(Path(given.template).resolve())
    print(f"whole processes, median wall seconds of {given.rounds} rounds; {load()}")
    with tempfile.TemporaryDirectory() as folder:
        loaded = {" ".join(option): imported(option, folder) for option in (["--cfg", "job"], ["--help"])}
        took = measure(given, folder)
    took["ours"] = [step - imports for step, imports in zip(took[STEP], took[IMPORTS], strict=True)]
    rows = (
        (CONFIG, "train --cfg job", "<= 1 s"),
        (HELP, "train --help", "<= 2 s"),
        (STEP, "train, to the end of the first step", ""),
        (IMPORTS, f"import {LIBRARIES}", ""),
        ("ours", "train's first step, less the imports", "<= 3 s"),
        (TEMPLATE, "lightning-hydra-template, likewise", ""),
    )
    print(f"{'':<42} {'seconds':>9} {'lowest':>8} {'highest':>8}   goal")
    for name, title, goal in rows:
        if name in took:
            middle, values = statistics.median(took[name]), took[name]
            print(f"{title:<42} {middle:>9.2f} {min(values):>8.2f} {max(values):>8.2f}   {goal}".rstrip())
        else:
            print(f"{title:<42} not measured: --template FOLDER")
    for module in ("torch", "optuna"):
        for option, modules in loaded.items():
            print(f"{f'train {option} imports {module}':<42} {'yes' if module in modules else 'no':>9} {'':>17}   no")
    print(load())


if __name__ == "__main__":
    main()
