"""The dashboard's threads step back behind workers on the same machine: looking must not slow what is looked at."""

import os
import sys
import threading

__all__ = ["step_back"]

NICE = 15


def step_back() -> None:
    """Give this thread (and the processes that it starts) a low priority; on Linux each thread has its own."""
    if sys.platform != "linux":
        return
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except OSError:
        pass  # it runs at the priority that it has
