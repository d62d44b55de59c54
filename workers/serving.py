"""What a worker serves: a load key with its model and its queue, and what it cannot serve."""

import logging
import time
from collections.abc import Callable
from functools import cached_property
from typing import Protocol

from videval.db import workers
from videval.db.identity import database_id
from videval.db.looks import Look
from videval.db.queue import KeyWork
from videval.errors import EnvironmentProblem, ModelUnavailable
from workers.bell import queue_name
from workers.device import can_serve
from workers.ledger import Trouble
from workers.worker import Worker

__all__ = ["Consumer", "Serving"]

log = logging.getLogger(__name__)
LOAD_BACKOFF, LONGEST_BACKOFF = 5.0, 300.0


class Consumer(Protocol):
    """What dispatch asks of Celery's consumer."""

    def add_queue(self, name: str) -> None:
        """Consume a queue from now on."""

    def cancel_queue(self, name: str) -> None:
        """Consume it no more; its messages stay."""

    def is_consuming(self, name: str) -> bool:
        """Whether it is consumed now."""


class Serving:
    """Changes what is served, and keeps model, queue and row of the worker in step."""

    def __init__(
        self, worker: Worker, consumer: Consumer, queues: frozenset[str] | None, on_change: Callable[[], None]
    ) -> None:
        self._worker = worker
        self._consumer = consumer
        self._queues = queues
        self._on_change = on_change
        self._failures: dict[str, tuple[int, float]] = {}
        self.load_key: str | None = None
        """What this worker serves, or is about to."""

    @cached_property
    def _known_as(self) -> str:
        return database_id(self._worker.database)

    def queue(self, load_key: str) -> str:
        """The queue of a load key."""
        return queue_name(self._known_as, load_key)

    def has_loaded(self, load_key: str | None) -> bool:
        """Whether this is what is served, its model loaded."""
        return load_key == self.load_key and self._worker.engine.loaded is not None

    # what it cannot serve

    def note_refusals(self, look: Look) -> None:
        """Let all know what this worker does not serve: what -Q leaves out, what it could not load just now, and what
        only a newer videval can read."""
        worker, now = self._worker, time.monotonic()
        refused = {key for key, (_, until) in self._failures.items() if now < until}
        refused |= {w.load_key for w in look.work if w.newer and not w.dtypes}
        if self._queues is not None:
            left_out = {w.load_key for w in look.work if self.queue(w.load_key) not in self._queues}
            for key in left_out - worker.refuses:
                log.warning("-Q leaves %s to others: its queue is %s", key, self.queue(key))
            refused |= left_out
        self._refuse(frozenset(refused))

    def _refuse(self, load_keys: frozenset[str]) -> None:
        if load_keys != self._worker.refuses:
            self._worker.refuses = load_keys
            self._worker.ledger.write(workers.refuse, self._worker.identity.id, sorted(load_keys))

    def get_over(self, look: Look) -> None:
        """Trouble with what nobody asks for any more is over; say what only a newer videval can read."""
        asked = {w.load_key for w in look.work}
        for key in self._failures.keys() - asked:
            del self._failures[key]
        if not self._failures:
            self._worker.ledger.over(Trouble.MODEL)
        if self.load_key not in asked:
            self._worker.ledger.over(Trouble.DATA)
        self._worker.ledger.over(Trouble.NEWER)
        for error in [error for w in look.work for error in w.newer][:1]:  # one line is enough to say what to do
            self._worker.ledger.note(Trouble.NEWER, f"{error} ({error.hint})")

    # the model and its queue

    def keep_consuming(self, look: Look) -> None:
        """A queue that was added while the broker was away might not be consumed; one whose work is for workers with
        another dtype is left to them."""
        loaded = self._worker.engine.loaded
        if loaded is None or loaded.load_key != self.load_key:
            return
        work = look.of(loaded.load_key)
        is_mine = work is None or can_serve(work, self._worker.identity.device)
        name = self.queue(loaded.load_key)
        if is_mine != self._consumer.is_consuming(name):
            (self._consumer.add_queue if is_mine else self._consumer.cancel_queue)(name)

    def switch(self, work: KeyWork) -> None:
        """Serve this load key from now on: its model is loaded, then its queue consumed."""
        worker, old = self._worker, self.load_key
        if old is not None and old != work.load_key:
            log.info("changing to %s", work.spec.name)
        if old is not None:  # nothing is consumed while no model is there to answer it
            self._consumer.cancel_queue(self.queue(old))
        self.load_key = work.load_key
        try:
            worker.load(work)
        except ModelUnavailable as error:
            self._load_failed(work, error)
            return
        self._failures.pop(work.load_key, None)
        worker.ledger.over(Trouble.MODEL, Trouble.DATA)
        self._consumer.add_queue(self.queue(work.load_key))
        self._sit(work.load_key)  # a turn begins when the model is loaded, however long that took

    def _load_failed(self, work: KeyWork, error: EnvironmentProblem) -> None:
        if self._worker.draining.is_set():
            return
        self._consumer.cancel_queue(self.queue(work.load_key))
        failures = self._failures.get(work.load_key, (0, 0.0))[0] + 1
        pause = min(LOAD_BACKOFF * 2 ** (failures - 1), LONGEST_BACKOFF)
        self._failures[work.load_key] = (failures, time.monotonic() + pause)
        what = str(error) if str(error).startswith(work.spec.name) else f"{work.spec.name} cannot be loaded: {error}"
        said = what + (f" ({error.hint})" if error.hint else "")
        self._worker.ledger.note(Trouble.MODEL, said)
        log.error("%s; trying again in %.0f s", said, pause)
        self.load_key = None
        self._sit(None)
        self._refuse(self._worker.refuses | {work.load_key})

    def _sit(self, load_key: str | None) -> None:
        self._worker.ledger.write(workers.take_seat, self._worker.identity.id, load_key)
        self._on_change()
