"""What a worker has in hand, why it does not work, and its writes to the database, which are insisted on."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from videval.db.records import Claim
from videval.db.session import Connection, Database
from videval.errors import EnvironmentProblem
from videval.types import Stage

__all__ = ["Held", "Ledger", "Trouble"]

log = logging.getLogger(__name__)
T = TypeVar("T")
DRAIN_PATIENCE = 10.0
"""Seconds that a draining worker waits for a database that is gone before it keeps its answers on disk."""


@dataclass(kw_only=True, eq=False)
class Held:
    """A request that this worker holds, and what it is doing with it; `lost`: it is another worker's by now."""

    claim: Claim
    stage: Stage = Stage.CLAIMED
    since: float = field(default_factory=time.monotonic)
    lost: bool = False

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
    """The one owner of what a worker holds and of what it says is wrong with it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.draining = threading.Event()
        self.ending = threading.Event()
        self._draining_since = 0.0
        self._held: dict[tuple[int, int], Held] = {}
        self._troubles: dict[Trouble, str] = {}
        self._lock = threading.Lock()

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

    def insist(self, work: Callable[[Connection], T], *, otherwise: Callable[[], None] | None = None) -> T | None:
        """Write to the database, however long it is gone; when the worker must end first, `otherwise` and None."""
        pause = 0.2
        while True:
            try:
                done = self.database.write(work)
            except EnvironmentProblem as error:
                log.warning("%s; waiting for it", error)
                self.note(Trouble.DATABASE, str(error))
            else:
                self.over(Trouble.DATABASE)
                return done
            if self.ending.wait(pause) or self._drained_long_enough():
                if otherwise is not None:
                    otherwise()
                return None
            pause = min(pause * 2, 5.0)

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
