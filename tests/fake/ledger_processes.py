"""Processes that work on one ledger, as a script: imported once, then forked, because imports take most of the time."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from polytag.sweep.heartbeat import this_process
from polytag.sweep.ledger import Ledger
from polytag.sweep.settings import Settings

STEPS = 3


def score(number):
    return number / 1000


def work_on(ledger, number, log):
    """Run one job unless somebody else has it, and note who finished it."""
    if not ledger.claim(number, this_process()):
        return
    for step in range(STEPS):
        assert ledger.report(number, step, score(number) * step)
    if ledger.finish(number, [score(number)], 0.5):
        with open(log, "a") as file:
            file.write(f"{number}\n")


def race(file, log, worker, total):
    """Go through all jobs, two processes from each end."""
    ledger = Ledger.open(file)
    for number in range(total) if worker % 2 else reversed(range(total)):
        work_on(ledger, number, log)


def add(file, log, worker, total):
    """Add the same jobs as the others, in another order."""
    ledger = Ledger.create(file, Settings())
    numbers = list(range(total))
    random.Random(worker).shuffle(numbers)
    for number in numbers:
        job = ledger.add([f"x={number}"])
        with open(log, "a") as lines:
            lines.write(f"{job.number} {job.overrides[0]}\n")


def drive(file, log, total):
    """Add and run jobs one after the other, as a command does that was given the sweep's name."""
    ledger = Ledger.create(file, Settings())
    jobs = ledger.jobs()
    for job in jobs:
        if not job.is_finished:
            work_on(ledger, job.number, log)
    for number in range(len(jobs), total):
        work_on(ledger, ledger.add([f"x={number}"]).number, log)


def forked(function, *arguments):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        function(*arguments)
        code = 0
    finally:
        if code:
            import traceback

            traceback.print_exc()
        os._exit(code)


def together(function, file, log, total):
    """Run four processes at once."""
    pids = [forked(function, file, log, worker, total) for worker in range(4)]
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def killed(file, log, total, kills, seconds):
    """Kill a process again and again at random moments, then let one come to the end."""
    delays = random.Random(0)
    codes = []
    for _ in range(kills):
        pid = forked(drive, file, log, total)
        time.sleep(delays.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    pid = forked(drive, file, log, total)
    return [*codes, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]


if __name__ == "__main__":
    what, folder, name, total = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    file, log = folder / name, folder / "log.txt"
    Ledger.create(folder / "first" / name, Settings())  # imports what is imported late
    start = time.monotonic()
    if what == "killed":
        codes = killed(file, log, total, kills=20, seconds=float(sys.argv[5]))
    else:
        codes = together({"race": race, "add": add}[what], file, log, total)
    print(*codes)
    print(f"{time.monotonic() - start:.1f} s", file=sys.stderr)
