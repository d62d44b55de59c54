"""What an engine process has in flight: who is in which stage since when, whose fault a death is, what is late.

No clock, no lock, no process: the time is passed in, in seconds on any clock that only goes forward.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from videval.types import Stage

__all__ = ["Flight", "Guilt"]

TOGETHER = 1.0
"""Stages that begin within so many seconds of each other began together: a batch is told of one message at a time."""
SILENT = 0.5
"""The share of the limit after which a process that says nothing is taken to hang as a whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guilt:
    """Whom a death is told to: `struck` did it, of `company` nobody knows who did. All others are asked again."""

    struck: tuple[int, ...] = ()
    company: tuple[int, ...] = ()
    stage: Stage | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """All that hear of it."""
        return self.struck + self.company


@dataclass(frozen=True, slots=True)
class _Leg:
    """A stage of one request; None: the process has it and has not begun with it."""

    stage: Stage | None
    since: float


class Flight:
    """What is in flight. Preparing and generating may take `limit` seconds each, waiting as long as it likes."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._legs: dict[int, _Leg] = {}
        self._heard = 0.0
        self._busy_since: float | None = None
        self._busy_s = 0.0

    def told(self, id_: int, now: float) -> None:
        """The process was told of a request."""
        if not self._legs:
            self._heard = now
        self._legs[id_] = _Leg(None, now)

    def entered(self, id_: int, stage: Stage, now: float) -> None:
        """It says where a request is; nothing happens if the request was let go of meanwhile."""
        self._heard = now
        if id_ in self._legs:
            self._legs[id_] = _Leg(stage, now)
            self._count_busy(now)

    def landed(self, id_: int, now: float) -> None:
        """A request is answered, has failed or was let go of."""
        self._heard = now
        self._legs.pop(id_, None)
        self._count_busy(now)

    def lost(self, now: float) -> None:
        """The process is gone: nothing is in flight any more."""
        self._legs.clear()
        self._count_busy(now)

    def is_generated(self, id_: int) -> bool:
        """Whether a request is being generated now."""
        return id_ in self._legs and self._legs[id_].stage == Stage.GENERATE

    def busy_s(self, now: float) -> float:
        """Seconds in which at least one request was being generated."""
        return self._busy_s + (now - self._busy_since if self._busy_since is not None else 0.0)

    def guilt_of_death(self) -> Guilt:
        """Whose fault it is if the process dies now: who is being generated, else who is being prepared."""
        return self._guilt(self._in(Stage.GENERATE) or self._in(Stage.PREPARE))

    def deadline(self) -> float | None:
        """When something will have taken too long; None if nothing is in flight.

        A process that has work and begins nothing must at least say something.
        """
        if not self._legs:
            return None
        first = self._first()
        return (first.since if first is not None else self._heard) + self._limit

    def guilt_of_delay(self, now: float) -> Guilt | None:
        """Whose fault it is that something takes too long; None if nothing does.

        If the process hangs as a whole it is as if it had died. Else it is who began first, with those that began
        together with it: who began later is only not done yet.
        """
        deadline, first = self.deadline(), self._first()
        if deadline is None or now < deadline:
            return None
        if first is None or now - self._heard >= SILENT * self._limit:
            return self.guilt_of_death()
        return self._guilt(i for i in self._in(first.stage) if self._legs[i].since <= first.since + TOGETHER)

    def _guilt(self, suspects: Iterable[int]) -> Guilt:
        ids = tuple(suspects)
        stage = self._legs[ids[0]].stage if ids else None
        return Guilt(struck=ids, stage=stage) if len(ids) == 1 else Guilt(company=ids, stage=stage)

    def _in(self, stage: Stage | None) -> list[int]:
        return [id_ for id_, leg in self._legs.items() if leg.stage == stage]

    def _first(self) -> _Leg | None:
        """The longest of the stages that have a deadline."""
        timed = (leg for leg in self._legs.values() if leg.stage in (Stage.PREPARE, Stage.GENERATE))
        return min(timed, key=lambda leg: leg.since, default=None)

    def _count_busy(self, now: float) -> None:
        is_busy = any(leg.stage == Stage.GENERATE for leg in self._legs.values())
        if is_busy and self._busy_since is None:
            self._busy_since = now
        elif not is_busy and self._busy_since is not None:
            self._busy_s += now - self._busy_since
            self._busy_since = None
