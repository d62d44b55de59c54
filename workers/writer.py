"""The one writer of a worker: what its threads want written goes to the database in order, together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from videval.db.session import PATIENCE, Connection, Database
from videval.errors import DatabaseUnavailable, EnvironmentProblem

__all__ = ["LONGEST_PAUSE", "Entry", "GivenUp", "Urgency", "Writer"]

log = logging.getLogger(__name__)
MOST = 200
"""Entries of one transaction: on SQLite everybody else waits for it."""
LINGER = 0.05
"""Seconds that what nobody waits for waits for company."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two tries while the database is away."""
LAST_PATIENCE = 5.0
"""Seconds that one try waits for other writers when the worker ends."""


class GivenUp(Exception):
    """What was insisted on will not be written any more."""


class Urgency(Enum):
    """What becomes of an entry while the database is away."""

    INSISTED = auto()
    """It stays in line."""
    TRIED = auto()
    """It fails."""
    PASSING = auto()
    """It is dropped; and it lingers a little, so that it need not have a transaction of its own."""


@dataclass(kw_only=True, eq=False, slots=True)
class Entry:
    """Something to be written, and its result for who waits."""

    work: Callable[[Connection], Any]
    urgency: Urgency
    durable: bool
    since: float = field(default_factory=time.monotonic)
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """One thread that commits everything that is in line, in order, in one transaction, and then wakes who waited.

    An entry that the database refuses, or that raises, fails alone. `longest_pause`: seconds between two tries while
    the database is away, at most; `ending`: no more patience with one that is; `has_waited_enough` is asked after each
    vain try; `on_try` hears the problem of each, or None.
    """

    def __init__(
        self,
        database: Database,
        *,
        longest_pause: float,
        ending: threading.Event,
        has_waited_enough: Callable[[], bool],
        on_try: Callable[[EnvironmentProblem | None], None],
    ) -> None:
        self._database = database
        self._longest_pause = longest_pause
        self._ending = ending
        self._has_waited_enough = has_waited_enough
        self._on_try = on_try
        self._line: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._in_vain = 0

    def put(self, entry: Entry) -> None:
        """Stand in line; at once over if the writer is closed."""
        with self._changed:
            if not self._closed:
                self._line.append(entry)
                if entry.urgency is not Urgency.PASSING or len(self._line) == 1:
                    self._changed.notify()
                self._start()
                return
        self._refuse([entry])

    def close(self, patience: float) -> None:
        """Write what is in line, for so many seconds at most, and nothing after it."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            while entries := self._next():
                self._try(entries)
        finally:
            with self._changed:
                self._closed, left = True, list(self._line)
            self._refuse(left)

    def _refuse(self, entries: Sequence[Entry]) -> None:
        insisted = [entry for entry in entries if entry.urgency is Urgency.INSISTED]
        _fail(insisted, GivenUp())
        _fail(entries, DatabaseUnavailable(f"database {self._database.url}: this worker ends and writes no more"))

    def _next(self) -> Sequence[Entry]:
        """What is written next; nothing when the writer is closed and the line is empty."""
        with self._changed:
            while not self._closed and (wait := self._seconds_to_wait()) != 0.0:
                self._changed.wait(wait)
            return [self._line.popleft() for _ in range(min(len(self._line), MOST))]

    def _seconds_to_wait(self) -> float | None:
        """Until the line is to be written; None: until somebody comes."""
        if not self._line:
            return None
        if any(entry.urgency is not Urgency.PASSING for entry in self._line):
            return 0.0
        return max(0.0, self._line[0].since + LINGER - time.monotonic())

    def _try(self, entries: Sequence[Entry]) -> None:
        """After a failure the first one goes alone: if it is what brings the database down, the others pass it by."""
        try:
            for some in (entries[:1], entries[1:]) if self._in_vain else (entries,):
                self._write(some)
        except EnvironmentProblem as error:
            self._away(entries, error)
        else:
            self._in_vain = 0
            self._on_try(None)

    def _write(self, entries: Sequence[Entry]) -> None:
        durable = any(entry.durable for entry in entries)
        patience = LAST_PATIENCE if self._ending.is_set() else PATIENCE
        if not entries:
            return
        try:
            results = self._database.write(_all, entries, patience=patience, durable=durable)
        except EnvironmentProblem:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one of them raised is for who asked for it
            if len(entries) == 1:
                _fail(entries, error)
            for entry in entries if len(entries) > 1 else ():
                self._write([entry])
        else:
            for entry, result in zip(entries, results, strict=True):
                entry.future.set_result(result)

    def _away(self, entries: Sequence[Entry], error: EnvironmentProblem) -> None:
        """Nobody but who insists waits for a database that is away."""
        left = [entry for entry in entries if not entry.future.done()]
        kept = [entry for entry in left if entry.urgency is Urgency.INSISTED]
        dropped = [entry for entry in left if entry.urgency is Urgency.PASSING]
        log.warning("%s%s", error, f"; {len(kept)} writes wait for it" if kept else "")
        if dropped:
            log.warning("%d notes of what requests are doing were not written", len(dropped))
        self._on_try(error)
        _fail([entry for entry in left if entry.urgency is not Urgency.INSISTED], error)
        pause = min(FIRST_PAUSE * 2**self._in_vain, self._longest_pause)
        self._in_vain += 1
        if kept and (self._ending.wait(pause) or self._has_waited_enough()):
            _fail(kept, GivenUp())
        else:
            with self._changed:
                self._line.extendleft(reversed(kept[1:] + kept[:1]))


def _all(connection: Connection, entries: Sequence[Entry]) -> list[Any]:
    return [entry.work(connection) for entry in entries]


def _fail(entries: Sequence[Entry], error: Exception) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(error)
