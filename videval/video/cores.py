"""How many cores nobody uses just now: by that, a decoder takes more threads, and a worker more decoders."""

import os

__all__ = ["MOST_THREADS", "cores", "idle_cores", "threads_to_use"]

MOST_THREADS = 4
"""Of one decoder: with more, a jump costs as many more pictures."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores() -> int:
    """How many of these nobody used in the last minute, whoever that was."""
    return max(0, round(cores() - os.getloadavg()[0]))


def threads_to_use() -> int:
    """How many a decoder may take: one for each idle core."""
    return max(1, min(idle_cores(), MOST_THREADS))
