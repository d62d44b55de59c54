"""What a worker has in hand, why it does not work, and its writes to the database, which are insisted on."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar, TypeVarTuple

from videval.db.records import Claim
from videval.db.session import Connection, Database
from videval.errors import EnvironmentProblem
from videval.types import Stage
from workers.writer import LONGEST_PAUSE, Entry, GivenUp, Urgency, Writer

__all__ = ["Held", "Ledger", "Trouble"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
RENEWALS = 3
"""Times in a lease that a worker tries to write, however long the database is away: when it is back, nobody is given
up for one lease period, and by then all have renewed theirs."""
DRAIN_PATIENCE = 10.0
"""Seconds that a draining worker waits for a database that is gone before it keeps its answers on disk."""


@dataclass(kw_only=True, eq=False)
class Held:
    """A request that this worker holds, and what it is doing with it; `lost`: it is another worker's by now,
    `released`: it was given back."""

    claim: Claim
    stage: Stage = Stage.CLAIMED
    since: float = field(default_factory=time.monotonic)
    lost: bool = False
    released: bool = False

    @property
    def pair(self) -> tuple[int, int]:
        """(request id, attempt)."""
        return self.claim.request_id, self.claim.attempt


class Trouble(StrEnum):
    """What can keep a worker from its work; each is over when what it needs is there again."""

    DATABASE = "database"
    BROKER = "broker"
    DATA = "data"
    MODEL = "model"
    MEMORY = "memory"
    NEWER = "newer"


class Ledger:
    """The one owner of what a worker holds and of what it says is wrong with it.

    `lease`: seconds that a claim holds.
    """

    def __init__(self, database: Database, *, lease: float) -> None:
        self.draining = threading.Event()
        self.ending = threading.Event()
        self._draining_since = 0.0
        self._held: dict[tuple[int, int], Held] = {}
        self._troubles: dict[Trouble, str] = {}
        self._lock = threading.Lock()
        self._writer = Writer(
            database,
            longest_pause=min(LONGEST_PAUSE, lease / RENEWALS),
            ending=self.ending,
            has_waited_enough=self._drained_long_enough,
            on_try=self._on_try,
        )

    # what is in hand

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[Held]:
        """A request is in hand until the block ends."""
        held = Held(claim=claim)
        with self._lock:
            self._held[held.pair] = held
        try:
            yield held
        finally:
            with self._lock:
                del self._held[held.pair]

    def held(self) -> list[Held]:
        """The requests in hand."""
        with self._lock:
            return list(self._held.values())

    # what is wrong

    def note(self, trouble: Trouble, said: str) -> None:
        """Say what keeps this worker from its work."""
        with self._lock:
            self._troubles[trouble] = said

    def over(self, *troubles: Trouble) -> None:
        """These do not keep it any more."""
        with self._lock:
            for trouble in troubles:
                self._troubles.pop(trouble, None)

    @property
    def message(self) -> str | None:
        """All that is wrong now, for people; None if nothing is."""
        with self._lock:
            return "; ".join(self._troubles.values()) or None

    # what is written

    def insist(
        self, work: Callable[[Connection, *Ts], T], *args: *Ts, otherwise: Callable[[], None] | None = None
    ) -> T | None:
        """Write `work(connection, *args)`, however long the database is gone, and return its result; when the worker
        must end first, `otherwise` and None."""
        try:
            return self._put(Urgency.INSISTED, True, work, *args).result()
        except GivenUp:
            if otherwise is not None:
                otherwise()
            return None

    def write(self, work: Callable[[Connection, *Ts], T], *args: *Ts, durable: bool = True) -> T:
        """Write `work(connection, *args)` and return its result; raises as `Database.write` does."""
        return self._put(Urgency.TRIED, durable, work, *args).result()

    def later(self, work: Callable[[Connection, *Ts], T], *args: *Ts) -> None:
        """Have `work(connection, *args)` written soon, unless the database is away."""
        self._put(Urgency.PASSING, False, work, *args)

    def _put(self, urgency: Urgency, durable: bool, work: Callable[[Connection, *Ts], T], *args: *Ts) -> Future[T]:
        def bound(connection: Connection) -> T:
            return work(connection, *args)

        entry = Entry(work=bound, urgency=urgency, durable=durable)
        self._writer.put(entry)
        return entry.future

    def _on_try(self, problem: EnvironmentProblem | None) -> None:
        if problem is None:
            self.over(Trouble.DATABASE)
        else:
            self.note(Trouble.DATABASE, str(problem))

    def _drained_long_enough(self) -> bool:
        return self.draining.is_set() and time.monotonic() - self._draining_since > DRAIN_PATIENCE

    # the end

    def drain(self) -> None:
        """Nothing more is taken."""
        self._draining_since = self._draining_since or time.monotonic()
        self.draining.set()

    def end(self) -> None:
        """The worker ends now."""
        self.drain()
        self.ending.set()

    def wait_until_empty(self, patience: float) -> None:
        """Request threads give back what they hold, or keep their answers on disk; let them."""
        deadline = time.monotonic() + patience
        while self.held() and time.monotonic() < deadline:
            time.sleep(0.02)

    def close(self, patience: float) -> None:
        """Write what is still in line, for so many seconds at most; after it nothing is written any more."""
        self._writer.close(patience)
