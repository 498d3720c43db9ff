"""Build a wheel and see that it holds the program, its configs and nothing else. Called by `make package`."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# What a clone holds besides the program.
FOREIGN = ("tests/", "data/", "logs/", "notebooks/", "docs/", "benchmarks/")


def build_wheel(out: Path) -> Path:
    """Build in this environment: an isolated build would want to fetch the build backend."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"The wheel cannot be built:\n{done.stdout}{done.stderr}")
    (wheel,) = out.glob("*.whl")
    return wheel


def wanted_files() -> set[str]:
    """Every file of the sources and the configs that git does not ignore, by its name in the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src", "conf"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    there = [name for name in listed if name and (REPOSITORY / name).is_file()]
    return {f"polytag/{name}" if name.startswith("conf/") else name.removeprefix("src/") for name in there}


def check_content(wheel: Path) -> list[str]:
    """Return what the wheel lacks, and what it should not hold."""
    names = set(zipfile.ZipFile(wheel).namelist())
    program = {name for name in names if name.startswith(("polytag/", "hydra_plugins/"))}
    wanted = wanted_files() | {
        "polytag/py.typed",
        "polytag/conf/train.yaml",
        "polytag/train.py",
        "hydra_plugins/polytag_plugins.py",
        "polytag/tracking/report.html.jinja",
    }
    problems = [f"{name} is missing" for name in sorted(wanted - names)]
    # Settings of one's own machine (conf/local) must not travel to others.
    problems += [f"{name} is in it, but git ignores that file or lacks it" for name in sorted(program - wanted)]
    problems += [f"{name} does not belong there" for name in sorted(names) if name.startswith(FOREIGN)]
    info = [name for name in names if ".dist-info/" in name]
    for file in ("entry_points.txt", "METADATA", "licenses/LICENSE"):
        if not any(name.endswith(f".dist-info/{file}") for name in info):
            problems.append(f"{file} is missing")
    return problems


def check_configs(wheel: Path, folder: Path) -> list[str]:
    """Return what is wrong with the folder of configs that the unpacked wheel finds, far from the clone."""
    zipfile.ZipFile(wheel).extractall(folder)
    code = "import polytag.commands as c; print(c.__file__); print(c.conf_dir())"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    module, conf = map(Path, done.stdout.split("\n")[:2])
    problems = []
    if not module.is_relative_to(folder):
        problems.append(f"the code came from {module}, not from the wheel")
    if conf != folder / "polytag" / "conf" or not (conf / "train.yaml").is_file():
        problems.append(f"the configs are looked for in {conf}")
    return problems


def main() -> int:
    """Print each problem; the exit code is 1 where there is one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        wheel = build_wheel(folder / "dist")
        problems = check_content(wheel) + check_configs(wheel, folder / "unpacked")
        count, size = len(zipfile.ZipFile(wheel).namelist()), wheel.stat().st_size
    for problem in problems:
        print(f"{wheel.name}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{wheel.name}: {count} files, {size / 1024:.0f} KiB, complete")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
