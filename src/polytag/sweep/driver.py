"""Hands out the jobs of a sweep to a launcher until all have ended; what becomes of them, the ledger knows."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Protocol

from polytag.sweep.job import FAILED, PENDING, RUNNING, Job
from polytag.sweep.ledger import Ledger

log = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds between two looks at the ledger


class Start(Protocol):
    """Runs jobs to their ends."""

    def __call__(self, jobs: Sequence[Job]) -> Sequence[str | None]:
        """Return for each job what went wrong outside of it, such as a signal that killed its process; else None."""


class Driver:
    """Starts what is pending, again what has died, and asks for more where a search has not had its trials.

    Args:
        ledger: Knows the jobs.
        start: Runs them.
        suggest: Adds a job to the ledger and returns it; None where there are enough.
        show: Called when something may have changed.
        slots: How many jobs are handed out one by one at the same time; 0: all that are there together; None: one
            after another in this thread, which alone may listen to signals.
        retries: How often a job is started again whose process died.
        stops_on_error: Whether a job that ends in an error is the last one.
        leave: Called on Ctrl-C and the like: what `start` waits for shall be left to itself, if it can be.
    """

    def __init__(
        self,
        ledger: Ledger,
        start: Start,
        suggest: Callable[[], Job | None],
        show: Callable[[], None],
        slots: int | None,
        retries: int,
        stops_on_error: bool,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger, self.start, self.suggest, self.show = ledger, start, suggest, show
        self.slots, self.retries, self.stops_on_error = slots, retries, stops_on_error
        self.leave = leave
        self._lock = threading.Lock()
        self._mine: set[int] = set()  # handed out and not back yet
        self._lost: Counter[int] = Counter()  # processes that ended before they came to take their job
        self._stops = False

    def run(self) -> None:
        """Return when nothing is left to do here."""
        if self.slots is None:
            self._work()
            return
        workers = max(1, self.slots)
        with ThreadPoolExecutor(workers) as pool:
            working = [pool.submit(self._work) for _ in range(workers)]
            try:
                while wait(working, timeout=PATIENCE).not_done:
                    self.show()
            except BaseException:
                self._stops = True
                self.leave()
                raise
            for one in working:
                one.result()

    def _work(self) -> None:
        while jobs := self._next():
            self.show()
            try:
                problems = self.start(jobs)
            except Exception as error:  # of the launcher; the jobs it has started go on or have ended, see the ledger
                log.debug("The launcher failed.", exc_info=True)
                problems = [f"{type(error).__name__}: {error}"] * len(jobs)
            for job, problem in zip(jobs, problems, strict=True):
                self._take_back(job, problem)
            self.show()

    def _next(self) -> list[Job]:
        """Return the jobs to start next; wait while others may still leave some behind."""
        while not self._stops:
            with self._lock:
                jobs = self.ledger.jobs()
                startable = [job for job in jobs if self._is_startable(job)]
                if not startable and (new := self.suggest()) is not None:
                    startable = [new]
                chosen = startable if self.slots == 0 else startable[:1]
                self._mine |= {job.number for job in chosen}
            if chosen:
                return chosen
            if not any(job.state == RUNNING and job.number not in self._mine for job in jobs):
                return []
            self.show()
            time.sleep(PATIENCE)
        return []

    def _is_startable(self, job: Job) -> bool:
        if job.number in self._mine:
            return False
        if job.state == PENDING:
            return True
        if job.state != RUNNING or self.ledger.is_alive(job):
            return False
        if job.attempts > self.retries:
            self.ledger.fail(job.number, f"Its process died, {_times(job.attempts)}.")
            return False
        return True

    def _take_back(self, before: Job, problem: str | None) -> None:
        """Look at how a job has ended that was handed out."""
        job = self.ledger.job(before.number)
        if job.state == PENDING and problem is not None and job.started == before.started:
            self._lost[job.number] += 1
            if self._lost[job.number] > self.retries:
                self.ledger.fail(job.number, problem)
        elif job.state == RUNNING and job.attempts > self.retries and not self.ledger.is_alive(job):
            self.ledger.fail(job.number, f"Its process died, {_times(job.attempts)}: {problem or 'no word of it'}.")
        # A pending one was stopped in good order, to make room for a cluster's higher jobs: it is handed out again.
        with self._lock:
            self._mine.discard(job.number)
        if self.stops_on_error and self.ledger.job(job.number).state == FAILED:
            self._stops = True


def _times(attempts: int) -> str:
    return "once" if attempts == 1 else f"{attempts} times"
