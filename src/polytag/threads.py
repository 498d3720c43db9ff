"""How many cores there are, and what their threads do while they wait for one another."""

import os


def available_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wait_politely() -> None:
    """Let OpenMP's threads give their core away soon when they wait, instead of spinning; call it before torch starts.

    With few cores and another busy process, each of torch's operations waits for a thread that has no core, while the
    others spin. Alone it costs a little: see benchmarks/waiting_threads.py. A value of the user's own is left alone.
    What it means: https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
    """
    if (os.cpu_count() or 1) <= 4:  # not measured on more
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
