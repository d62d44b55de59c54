"""How busy devices are now: workers say how long theirs were busy since they began; this knows the last minute."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from videval.db.workers import WorkerInfo
from videval.report import busy_share

__all__ = ["Busy", "BusyMeter"]

WINDOW_S = 60.0
LEAST_S = 10.0
"""Seconds of a worker's life that a share must rest on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Busy:
    """The share of the last minute (None: not watched for long enough) and of the workers' whole lives in which their
    devices generated."""

    minute: float | None
    mean: float | None

    @property
    def share(self) -> float | None:
        """The newest that is known."""
        return self.mean if self.minute is None else self.minute

    @property
    def of_what(self) -> str:
        """What the share is of."""
        return "of the time since their workers started" if self.minute is None else "of the last minute"


class BusyMeter:
    """Remembers what each worker said with its heartbeats of the last minute; safe in threads."""

    def __init__(self) -> None:
        self._said: dict[str, deque[tuple[float, float]]] = {}
        self._lock = threading.Lock()

    def note(self, found: Sequence[WorkerInfo]) -> None:
        """Remember what these live workers last said; the others are forgotten."""
        with self._lock:
            self._said = {w.id: self._said.get(w.id, deque()) for w in found}
            for worker in found:
                said, lived_s = self._said[worker.id], worker.age_s - worker.silent_s
                if not said or lived_s > said[-1][0]:
                    said.append((lived_s, worker.busy_s))
                while len(said) > 2 and said[1][0] <= lived_s - WINDOW_S:
                    said.popleft()

    def of(self, found: Iterable[WorkerInfo]) -> Busy:
        """How busy the devices of these workers are together."""
        chosen = list(found)
        with self._lock:
            ends = [(s[0], s[-1]) for w in chosen if len(s := self._said.get(w.id, deque())) > 1]
        lived = sum(last[0] - first[0] for first, last in ends)
        busy = sum(last[1] - first[1] for first, last in ends)
        return Busy(minute=min(1.0, busy / lived) if lived >= LEAST_S else None, mean=busy_share(chosen))
