"""Runs a worker's steps again and again, each in a thread of its own; what goes wrong in one ends none of them."""

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from videval.errors import DatabaseUnavailable, VidevalError

__all__ = ["Crowd", "Loops", "Step"]

log = logging.getLogger(__name__)
CROWD = 50
"""Workers that may look around once each period; twice as many look half as often."""


@dataclass(kw_only=True, slots=True)
class Crowd:
    """How many workers there are, as dispatch saw last."""

    size: int = 1

    def pause(self, period: float) -> float:
        """Seconds between two looks of one worker: not all at once, and no more looks in all however many they are."""
        return period * max(1.0, self.size / CROWD) * random.uniform(0.9, 1.1)

    def may_look(self) -> bool:
        """Whether this worker is among those that look in this period, drawn by chance."""
        return random.random() * self.size <= CROWD


class Step(ABC):
    """What a worker does again and again: `step` does it once."""

    name = "step"

    def __init__(self) -> None:
        self.woken = threading.Event()

    @abstractmethod
    def step(self) -> None:
        """Do it once."""

    @property
    @abstractmethod
    def pause(self) -> float:
        """Seconds until the next time."""

    def wake(self) -> None:
        """Do it again now."""
        self.woken.set()

    def close(self) -> None:
        """Wait no more: the worker ends."""
        self.woken.set()


class Loops:
    """The steps as threads; `stop` ends them. They are daemons: one that is stuck does not hold the process."""

    def __init__(self, *steps: Step, on_outage: Callable[[], None]) -> None:
        """`on_outage` hears that the database was away."""
        self._steps = steps
        self._on_outage = on_outage
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start a thread for each step."""
        for step in self._steps:
            self._threads.append(threading.Thread(target=self._run, args=(step,), name=step.name, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """End after the step that is being done."""
        self._stopped.set()
        for step in self._steps:
            step.close()

    def join(self, patience: float) -> None:
        """Wait so many seconds at most for the steps that are being done."""
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, step: Step) -> None:
        while not self._stopped.is_set():
            step.woken.clear()
            self.once(step)
            step.woken.wait(step.pause)

    def once(self, step: Step) -> None:
        """Do a step; its failure is logged."""
        try:
            step.step()
        except VidevalError as error:
            log.warning("%s: %s", step.name, error)
            if isinstance(error, DatabaseUnavailable):
                self._on_outage()
        except Exception:  # whatever it is, the next step may succeed
            log.exception("%s failed; goes on", step.name)
