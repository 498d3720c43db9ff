"""Two programs, perhaps in two environments, measured in turn: A B A B ... Standard library only, for peers import it.

Each side is a process that gets ready, then answers each line `go` on its standard input with a number on its standard
output. Between its turns it waits, so the other one has the machine.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

MARK = "@@"  # stands before an answer, so that whatever else a program prints does no harm
# In the environment of each side: the same threads, and no network.
SETTINGS = {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}


class Side:
    """One side of a comparison, waiting for its turns."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | SETTINGS
        )
        self.first = self.answer()  # ready

    def answer(self) -> float:
        """Wait for the next answer."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                return float(json.loads(line.removeprefix(MARK)))
        code = self.process.wait()
        self.close()
        raise SystemExit(f"{self.name} ended with exit code {code}.")

    def measure(self) -> float:
        """Have one turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """Let it go."""
        self.process.kill()
        self.process.communicate()


def tell(number: float) -> None:
    """In a side: answer."""
    print(f"{MARK}{json.dumps(number)}", flush=True)


def serve(measure: Callable[[], float]) -> None:
    """In a side: say that it is ready, then measure once a turn."""
    tell(0.0)
    for _ in sys.stdin:
        tell(measure())


def seconds(run: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(commands: Mapping[str, Sequence[str]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Measure all sides in turn, after some rounds that do not count, and return what each answered."""
    sides: list[Side] = []
    try:
        sides += (Side(name, command) for name, command in commands.items())
        answers = [[side.measure() for side in sides] for _ in range(warm_up + rounds)][warm_up:]
    finally:
        for side in sides:
            side.close()
    return {side.name: list(column) for side, column in zip(sides, zip(*answers, strict=True), strict=True)}


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Return the median over the rounds of one side's number over the other's."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def load() -> str:
    """Return how busy the machine is."""
    return f"load average {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores"
