"""Values that are shown again while newer ones are being fetched: no page ever waits for a slow query.

A value is fetched in a thread of the store's own, for all sessions once. A page waits a fraction of a second for it,
then shows what was there before, or says that it is being read. What took long is fetched less often.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from dashboard.priority import step_back
from videval.errors import DatabaseUnavailable, VidevalError

__all__ = ["Fetched", "Store"]

T = TypeVar("T")
log = logging.getLogger(__name__)
TELL_US = "the dashboard's log has the whole story; please report it"
RESTS = 10.0
"""A value that took t seconds to fetch is not fetched again within RESTS x t."""
SILENT_S = 4.0
"""Seconds that a fetch takes before one may say that nobody answers (three times as long as the last one, if that is
more)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched(Generic[T]):
    """What the store has: a value (None while it is read for the first time), or why there is none; or both, if the
    database went away after the value was read.

    `age_s`: seconds since it was read; `is_stale`: it is older than two of its periods, or nobody answers any more.
    """

    value: T | None = None
    error: VidevalError | None = None
    is_known: bool = False
    age_s: float = 0.0
    is_stale: bool = False
    is_unanswered: bool = False

    @property
    def is_pending(self) -> bool:
        """Whether it is being read for the first time."""
        return not self.is_known and self.error is None


@dataclass(kw_only=True, slots=True)
class _Entry:
    found: Fetched[Any] = field(default_factory=Fetched)
    fetched_at: float = float("-inf")
    read_at: float = float("-inf")
    asked_at: float = float("-inf")
    took_s: float = 0.0
    running: "Future[None] | None" = None

    def shown(self, now: float, fresh_s: float) -> Fetched[Any]:
        """The value with its age."""
        late = self.running is not None and now - self.asked_at > max(SILENT_S, 3 * self.took_s)
        is_unanswered = late or self.found.error is not None
        age_s = now - self.read_at if self.found.is_known else 0.0
        is_old = age_s > 2 * max(fresh_s, RESTS * self.took_s)
        is_stale = self.found.is_known and (is_old or is_unanswered)
        return replace(self.found, age_s=age_s, is_stale=is_stale, is_unanswered=is_unanswered)


class Store:
    """Keeps the `size` values that were asked for last; fetches in `threads` threads."""

    def __init__(self, *, threads: int = 2, size: int = 1000, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dashboard-read", initializer=step_back)
        self._size = size
        self._clock = clock
        self._generation = 0

    def get(self, key: Hashable, fetch: Callable[[], T], *, fresh_s: float, patience_s: float) -> Fetched[T]:
        """The value of `key`, at most `fresh_s` seconds old if that can be had within `patience_s` seconds."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
            if self._clock() - entry.fetched_at > max(fresh_s, RESTS * entry.took_s) and entry.running is None:
                entry.asked_at = self._clock()
                entry.running = self._pool.submit(self._fetch, entry, fetch, self._generation)
            running = entry.running
            is_worth_waiting = entry.found.is_pending or entry.took_s < patience_s
        if running is not None and patience_s > 0 and is_worth_waiting:
            wait([running], timeout=patience_s)
        with self._lock:
            return entry.shown(self._clock(), fresh_s)

    def _fetch(self, entry: _Entry, fetch: Callable[[], Any], generation: int) -> None:
        began = self._clock()
        try:
            found: Fetched[Any] = Fetched(value=fetch(), is_known=True)
        except DatabaseUnavailable as error:
            known = entry.found  # what was read before it went away is still worth showing, as of then
            found = Fetched(value=known.value, error=error, is_known=known.is_known)
        except VidevalError as error:
            found = Fetched(error=error)
        except Exception as error:
            log.exception("a page could not be read")
            said = f"this could not be read: {type(error).__name__}: {error}"
            found = Fetched(error=VidevalError(said, hint=TELL_US))
        with self._lock:
            entry.found = found
            entry.running = None
            now = self._clock()
            if found.error is None:
                entry.read_at = now
            entry.fetched_at = now if generation == self._generation else float("-inf")
            entry.took_s = now - began if found.error is None else 0.0  # what failed is tried again soon

    def forget(self) -> None:
        """Fetch everything anew when it is next asked for (something was changed); shown values stay until then."""
        with self._lock:
            self._generation += 1
            for entry in self._entries.values():
                entry.fetched_at, entry.took_s = float("-inf"), 0.0

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)
