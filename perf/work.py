"""What a simulated fleet is given: a plan, and the rows of its requests."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perf.fleets import heavy_tail
from videval.settings import Settings

__all__ = ["Held", "Plan", "Work", "default"]

MEDIAN_MS = 50.0
"""Of `heavy_tail`; 0.97 of its answers lie around it, the others around twenty times of it."""


def default(name: str) -> Any:
    """The default of a setting."""
    return Settings.model_fields[name].default


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is simulated: so many questions, `each` of them about one clip, which takes `decode_ms` when it is cold.

    `median_ms`: of the answers' times. `cores`, `connections`: of PostgreSQL. `dispatch`, `look_ahead`: the settings;
    a look-ahead of None follows the model.
    """

    workers: int
    questions: int
    database: str = "sqlite"
    median_ms: float = 1000.0
    each: int = 4
    decode_ms: float = 778.0
    slots: int = 1
    cores: int = 8
    connections: int = 100
    dispatch: float = field(default_factory=lambda: default("dispatch"))
    look_ahead: int | None = None
    clustered: bool = False
    seed: int = 1

    def latencies(self) -> list[float]:
        """Seconds that each question takes to be answered."""
        scale = self.median_ms / MEDIAN_MS / 1000
        return [
            ms * scale for ms in heavy_tail(self.questions, clustered=self.clustered, each=self.each, seed=self.seed)
        ]


@dataclass(kw_only=True, eq=False, slots=True)
class Held:
    """A request in a worker's hand: `got` seconds until it was ready; `begun` by the device, or `given` back."""

    request: int
    since: float
    got: float = 0.0
    begun: bool = False
    given: bool = False


class Work:
    """The rows: who waits, in the run's order, and how often each was answered."""

    def __init__(self, questions: int, each: int, rng: random.Random) -> None:
        clips = [list(range(first, min(first + each, questions))) for first in range(0, questions, each)]
        rng.shuffle(clips)
        self._each = each
        self._line = deque(request for clip in clips for request in clip)
        self._waits = set(self._line)
        self._open = questions
        self.answers = [0] * questions

    @property
    def waiting(self) -> int:
        """How many requests may be claimed."""
        return len(self._waits)

    @property
    def is_over(self) -> bool:
        """Whether all are answered."""
        return not self._open

    def clip(self, request: int) -> int:
        """Which clip a request is about."""
        return request // self._each

    def claim(self, most: int) -> list[int]:
        """The next request, and what waits of its clip, `most` in all; nothing if nothing waits."""
        while self._line and self._line[0] not in self._waits:
            self._line.popleft()
        if not self._line:
            return []
        first = self._line[0]
        begins = self.clip(first) * self._each
        others = [r for r in range(begins, begins + self._each) if r in self._waits and r != first]
        taken = [first, *others[: most - 1]]
        self._waits -= set(taken)
        return taken

    def give_back(self, requests: Sequence[int]) -> None:
        """They wait again, behind all others."""
        self._waits |= set(requests)
        self._line.extend(requests)

    def answer(self, request: int) -> None:
        """Its answer is stored."""
        self.answers[request] += 1
        self._open -= 1
