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
    """The rows: who waits, in the run's order, which of them are of begun clips, and how often each was answered."""

    def __init__(self, questions: int, each: int, rng: random.Random) -> None:
        clips = [list(range(first, min(first + each, questions))) for first in range(0, questions, each)]
        rng.shuffle(clips)
        self._each = each
        self._fresh = deque(request for clip in clips for request in clip)
        self._begun = deque[int]()
        self._are_begun = set[int]()
        self._waits = set(self._fresh)
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

    def claim(self, most: int, clip: int | None) -> list[int]:
        """What `videval.db.claims.take` gives a worker that has this clip, `most` in all; nothing if nothing waits."""
        first = self._first(clip)
        if first is None:
            return []
        waiting = self._waiting_of(self.clip(first))
        taken = [first, *(r for r in waiting if r != first)][:most]
        self._waits -= set(taken)
        if first not in self._are_begun:
            left = [r for r in waiting if r in self._waits]
            self._are_begun |= set(left)
            self._begun.extend(left)
        return taken

    def _first(self, clip: int | None) -> int | None:
        if clip is not None and (mine := self._waiting_of(clip)):
            return mine[0]
        for line, are_begun in ((self._fresh, False), (self._begun, True)):
            while line and (line[0] not in self._waits or (line[0] in self._are_begun) != are_begun):
                line.popleft()
            if line:
                return line[0]
        return None

    def _waiting_of(self, clip: int) -> list[int]:
        begins = clip * self._each
        return [r for r in range(begins, begins + self._each) if r in self._waits]

    def give_back(self, requests: Sequence[int]) -> None:
        """They wait again, behind all others."""
        self._waits |= set(requests)
        for request in requests:
            (self._begun if request in self._are_begun else self._fresh).append(request)

    def answer(self, request: int) -> None:
        """Its answer is stored."""
        self.answers[request] += 1
        self._open -= 1
