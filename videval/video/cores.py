"""How many cores nobody uses just now: by that, a decoder takes more threads, and a worker more decoders."""

import os

__all__ = ["cores", "idle_cores"]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores() -> int:
    """How many of these nobody used in the last minute, whoever that was."""
    return max(0, round(cores() - os.getloadavg()[0]))
