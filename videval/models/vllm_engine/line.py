"""Who is generated next: pure, so that it can be tested without an engine.

The first question of a clip goes ahead, and its siblings follow when it has said its first token: by then the clip is
in the prefix cache, and none of them computes it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Line", "Place"]

REMEMBERED = 1024
"""Clips that are taken to be in the cache still."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A request in the line; `clip` names what it may share ("": nothing), `tokens` is the most that it may need."""

    id: int
    tokens: int
    clip: str = ""
    alone: bool = False


class Line:
    """Lets in as many as there are `slots`, as far as `tokens` of cache hold them; one always goes in."""

    def __init__(self, *, slots: int, tokens: int, shares: bool) -> None:
        self._slots, self._tokens, self._shares = slots, tokens, shares
        self._running: dict[int, Place] = {}
        self._read: dict[str, None] = {}
        """Clips that are in the cache, the latest last."""

    @property
    def running(self) -> tuple[int, ...]:
        """The ids of those that are being generated."""
        return tuple(self._running)

    def admit(self, waiting: Iterable[Place]) -> list[Place]:
        """Those of the waiting that go in now, the oldest first; they are running from now on."""
        admitted = []
        for place in sorted(waiting, key=lambda place: place.id):
            if self._is_held(place):
                continue
            if not self._has_room(place):
                break
            self._running[place.id] = place
            admitted.append(place)
        return admitted

    def said(self, id: int) -> None:
        """A request has said something: its clip is in the cache."""
        place = self._running.get(id)
        if place is not None and place.clip:
            self._read.pop(place.clip, None)
            self._read[place.clip] = None
            for oldest in list(self._read)[:-REMEMBERED]:
                del self._read[oldest]

    def left(self, id: int) -> None:
        """A request is over, whatever became of it."""
        self._running.pop(id, None)

    def _is_held(self, place: Place) -> bool:
        """Whether the first question of its clip is still being read."""
        if not self._shares or not place.clip or place.clip in self._read or place.alone:
            return False
        return any(other.clip == place.clip for other in self._running.values())

    def _has_room(self, place: Place) -> bool:
        if not self._running:
            return True
        if place.alone or any(other.alone for other in self._running.values()):
            return False
        needed = place.tokens + sum(other.tokens for other in self._running.values())
        return len(self._running) < self._slots and needed <= self._tokens
