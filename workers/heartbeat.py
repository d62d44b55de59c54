"""The worker's own loops: heartbeat (leases, what it does), reconcile (rows to bells), dispatch (which model)."""

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from videval.db import queue, requests, workers
from videval.db.identity import database_id
from videval.db.queue import KeyWork
from videval.db.session import Connection
from videval.errors import DatabaseUnavailable, EnvironmentProblem, ModelUnavailable, VidevalError
from workers.device import can_serve, is_free
from workers.ledger import Trouble
from workers.publish import publish_due, queue_name
from workers.shares import Demand, Seat, assign
from workers.worker import Worker

__all__ = ["Consumer", "Loops"]

log = logging.getLogger(__name__)
LOAD_BACKOFF = 5.0
REFILL, LEAST_REFILL = 8, 256
"""Messages that a key's queue is filled up to, for each request thread that serves it, and at least."""
CROWD = 50
"""Workers that may look around once each dispatch period; twice as many look half as often."""


class Consumer(Protocol):
    """What the dispatcher asks of Celery's consumer."""

    def add_queue(self, name: str) -> None:
        """Consume a queue from now on."""

    def cancel_queue(self, name: str) -> None:
        """Consume it no more; its messages stay."""

    def is_consuming(self, name: str) -> bool:
        """Whether it is consumed now."""

    def shutdown(self) -> None:
        """Drain and end."""


class Loops:
    """The three loops of a worker as threads; `stop` ends them."""

    def __init__(
        self,
        worker: Worker,
        consumer: Consumer,
        *,
        queues: frozenset[str] | None = None,
        ensure_broker: Callable[[], None] = lambda: None,
    ) -> None:
        """`queues`: serve these only, as the user said with -Q; None is free choice. `ensure_broker`: start it again
        if it died."""
        self._worker = worker
        self._settings = worker.settings
        self._consumer = consumer
        self._queues = queues
        self._ensure_broker = ensure_broker
        self._stop = threading.Event()
        self._key: str | None = None
        self._asked: frozenset[str] = frozenset()
        self._for_others: frozenset[str] = frozenset()
        self._newer: list[KeyWork] = []
        self._known_as = ""
        self._load_failures: dict[str, tuple[int, float]] = {}
        self._num_seats = 1
        self._skip_until = 0.0
        self._clock: tuple[float, float] | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the loops."""
        s = self._settings
        self._loop("heartbeat", self._beat, lambda: min(s.heartbeat, s.lease / 3))
        self._loop("reconcile", self._reconcile, lambda: s.reconcile)
        self._loop("dispatch", self._dispatch, self._until_dispatch)

    def _until_dispatch(self) -> float:
        """Each of W workers looks at all W: many of them look less often, and not all at once."""
        return self._settings.dispatch * max(1.0, self._num_seats / CROWD) * random.uniform(0.9, 1.1)

    def stop(self) -> None:
        """End the loops; they are daemons, so one that is stuck does not hold the process."""
        self._stop.set()

    def _loop(self, name: str, step: Callable[[], None], every: Callable[[], float]) -> None:
        def run() -> None:
            while True:
                try:
                    step()
                except VidevalError as error:
                    log.warning("%s: %s", name, error)
                    if isinstance(error, DatabaseUnavailable):
                        self._after_outage()
                except Exception:
                    log.exception("%s failed; goes on", name)
                if self._stop.wait(every()):
                    return

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _queue(self, load_key: str) -> str:
        self._known_as = self._known_as or database_id(self._worker.database)
        return queue_name(self._known_as, load_key)

    def _after_outage(self) -> None:
        """Leases could not be renewed while the database was away: nobody is given up for one lease period."""
        self._skip_until = time.monotonic() + self._settings.lease

    # heartbeat

    def _beat(self) -> None:
        worker = self._worker
        held = worker.held()
        pairs = [h.pair for h in held]
        pulse = worker.pulse()

        def beat(connection: Connection) -> set[tuple[int, int]]:
            lost = requests.renew(connection, pairs, self._settings.lease)
            workers.beat(connection, worker.identity.id, pulse)
            return lost

        lost = worker.database.write(beat, durable=False)
        for h in held:
            if h.pair in lost and not h.lost and h in worker.held():
                h.lost = True
                log.warning("request %d, attempt %d: lost its lease", *h.pair)
        self._check_memory(pulse.rss_mb)
        self._check_parent()

    def _check_parent(self) -> None:
        """A worker that `videval run` started goes when that is gone."""
        tied_to = self._settings.tied_to
        if tied_to is not None and os.getppid() != tied_to and not self._worker.draining.is_set():
            log.warning("the command that started this worker is gone: drains")
            self._consumer.shutdown()

    def _check_memory(self, rss_mb: float) -> None:
        limit = self._settings.max_rss_gb
        if limit is not None and rss_mb > limit * 1024 and not self._worker.draining.is_set():
            said = f"uses {rss_mb / 1024:.1f} GB, more than --max-rss {limit:g}: drains to be replaced"
            self._worker.ledger.note(Trouble.MEMORY, said)
            log.warning(said)
            self._consumer.shutdown()

    # reconcile

    def _reconcile(self) -> None:
        self._ensure_broker()
        self._watch_clock()
        database = self._worker.database
        if not database.write(lambda c: queue.take_turn(c, "reconcile", self._settings.reconcile * 0.9)):
            return
        self._expire()
        with database.read() as connection:
            keys = [w.load_key for w in queue.work(connection) if w.waiting]
            seats = workers.seats(connection, silent_s=self._settings.lease * 2)
        serving = Counter(seat.load_key for seat in seats)
        each = REFILL * self._worker.concurrency
        publish_due(self._settings, database, {key: max(LEAST_REFILL, each * serving[key]) for key in keys})

    def _expire(self) -> None:
        database = self._worker.database
        dead = self._dead_neighbours()
        if dead:
            expired = database.write(lambda c: requests.expire_workers(c, dead))
            self._log_expired(expired, "its worker is dead")
        if time.monotonic() < self._skip_until:
            return
        self._log_expired(database.write(lambda c: requests.expire_leases(c)), "its lease ran out")

    def _dead_neighbours(self) -> list[str]:
        """Workers that share our lock folder and whose device nobody holds any more."""
        me = self._worker.identity
        with self._worker.database.read() as connection:
            near = [w for w in workers.live_workers(connection) if w.lock_domain == me.lock_domain and w.id != me.id]
        folder = self._settings.lock_path
        free = {d for d in {w.device for w in near} if d != me.device and is_free(folder, d)}
        return [w.id for w in near if w.device in free or w.device == me.device]

    def _watch_clock(self) -> None:
        """Skip a lease period if the database's clock moved much more than ours since the last look: then leases prove
        nothing. Every worker watches, whoever's turn it is to reconcile. One that has just begun knows of no outage
        and no jump before it, so it waits as long; workers dead beside it are found by their locks at once."""
        with self._worker.database.read() as connection:
            now = (requests.database_time(connection), time.monotonic())
        before, self._clock = self._clock, now
        if before is None:
            self._skip_until = now[1] + self._settings.lease
            return
        moved, passed = now[0] - before[0], now[1] - before[1]
        if moved - passed > self._settings.lease / 2:
            log.warning("the database's clock jumped %.0f s: nobody is given up for one lease period", moved - passed)
            self._skip_until = now[1] + self._settings.lease

    def _log_expired(self, expired: Sequence[requests.ExpiredRequest], why: str) -> None:
        for e in expired:
            log.warning(
                "request %d, attempt %d: %s; %s%s", e.request_id, e.attempt, why, e.status, ", struck" * e.struck
            )

    # dispatch

    def _dispatch(self) -> None:
        worker = self._worker
        if worker.draining.is_set():
            return
        self._note_refusals()
        with worker.database.read() as connection:
            choice = self._choose(connection)
        self._get_over()
        if choice is None or (choice.load_key == self._key and worker.engine.loaded is not None):
            self._keep_consuming()
            return
        choice = worker.database.write(self._sit_down)
        if choice is not None and (choice.load_key != self._key or worker.engine.loaded is None):
            self._switch(choice)

    def _keep_consuming(self) -> None:
        """A queue that was added while the broker was away might not be consumed; one whose work is for workers with
        another dtype is left to them."""
        loaded = self._worker.engine.loaded
        if loaded is None or loaded.load_key != self._key:
            return
        name, is_mine = self._queue(loaded.load_key), loaded.load_key not in self._for_others
        if is_mine != self._consumer.is_consuming(name):
            (self._consumer.add_queue if is_mine else self._consumer.cancel_queue)(name)

    def _choose(self, connection: Connection) -> KeyWork | None:
        """What this worker should serve, by what all workers can see; None: go on as it is."""
        me, work = self._worker.identity, queue.work(connection)
        self._asked = frozenset(w.load_key for w in work)
        self._for_others = frozenset(w.load_key for w in work if not can_serve(w, me.device))
        self._newer = [w for w in work if w.newer]
        demands = [Demand(load_key=w.load_key, requests=w.waiting + w.running, priority=w.priority) for w in work]
        found = workers.seats(connection, silent_s=self._settings.lease * 2)
        self._num_seats = len(found)
        seats = [
            Seat(
                worker_id=w.id,
                load_key=w.load_key,
                served_s=w.served_s,
                can_serve=frozenset(k.load_key for k in work if can_serve(k, w.device) and k.load_key not in w.refuses),
            )
            for w in found
        ]
        key = assign(demands, seats, turn=self._settings.turn).get(me.id)
        return next((w for w in work if w.load_key == key), None)

    def _get_over(self) -> None:
        """Trouble with what nobody asks for any more is over."""
        for key in self._load_failures.keys() - self._asked:
            del self._load_failures[key]
        if not self._load_failures:
            self._worker.ledger.over(Trouble.MODEL)
        if self._key not in self._asked:
            self._worker.ledger.over(Trouble.DATA)
        self._worker.ledger.over(Trouble.NEWER)
        for error in [error for w in self._newer for error in w.newer][:1]:  # one line is enough to say what to do
            self._worker.ledger.note(Trouble.NEWER, f"{error} ({error.hint})")

    def _note_refusals(self) -> None:
        """Let all know what this worker does not serve: what -Q leaves out, what it could not load just now, and what
        only a newer videval can read."""
        worker, now = self._worker, time.monotonic()
        failed = {key for key, (_, until) in self._load_failures.items() if now < until}
        failed |= {w.load_key for w in self._newer if not w.dtypes}
        if self._queues is not None:
            with worker.database.read() as connection:
                keys = {w.load_key for w in queue.work(connection)}
            left_out = {key for key in keys if self._queue(key) not in self._queues}
            for key in left_out - worker.refuses:
                log.warning("-Q leaves %s to others: its queue is %s", key, self._queue(key))
            failed |= left_out
        if failed != worker.refuses:
            worker.refuses = frozenset(failed)
            worker.database.write(lambda c: workers.refuse(c, worker.identity.id, sorted(failed)))

    def _sit_down(self, connection: Connection) -> KeyWork | None:
        """Choose again with all other workers held still, and let them know."""
        workers.lock_seats(connection)
        choice = self._choose(connection)
        if choice is not None and choice.load_key != self._key:
            workers.take_seat(connection, self._worker.identity.id, choice.load_key)
        return choice

    def _switch(self, work: KeyWork) -> None:
        worker, old = self._worker, self._key
        if old is not None and old != work.load_key:
            log.info("changing to %s", work.spec.name)
        if old is not None:  # nothing is consumed while no model is there to answer it
            self._consumer.cancel_queue(self._queue(old))
        self._key = work.load_key
        try:
            worker.load(work)
        except ModelUnavailable as error:
            self._load_failed(work, error)
            return
        self._load_failures.pop(work.load_key, None)
        worker.ledger.over(Trouble.MODEL, Trouble.DATA)
        self._consumer.add_queue(self._queue(work.load_key))
        self._sit(work.load_key)  # a turn begins when the model is loaded, however long that took

    def _load_failed(self, work: KeyWork, error: EnvironmentProblem) -> None:
        if self._worker.draining.is_set():
            return
        self._consumer.cancel_queue(self._queue(work.load_key))
        failures = self._load_failures.get(work.load_key, (0, 0.0))[0] + 1
        pause = min(LOAD_BACKOFF * 2 ** (failures - 1), 300.0)
        self._load_failures[work.load_key] = (failures, time.monotonic() + pause)
        said = f"{work.spec.name} cannot be loaded: {error}" + (f" ({error.hint})" if error.hint else "")
        self._worker.ledger.note(Trouble.MODEL, said)
        log.error("%s; trying again in %.0f s", said, pause)
        self._key = None
        self._sit(None)
        self._note_refusals()

    def _sit(self, load_key: str | None) -> None:
        me = self._worker.identity.id
        self._worker.database.write(lambda c: workers.take_seat(c, me, load_key))
