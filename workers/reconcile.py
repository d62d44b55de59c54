"""Reconcile: brings rows and bells together. Gives up dead attempts, rings again for what nobody hears.

One worker does it for all, as long as it lives; the others look now and then whether it still does. Beside that one
worker of each machine looks whether its neighbours there are alive.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial

from videval.db import chores, looks, races, requests, runs, sums, workers
from videval.db.identity import database_id
from videval.report import fold_all
from workers.locks import is_free, lock_alone
from workers.loops import Crowd, Step
from workers.publish import publish_due
from workers.worker import Worker

__all__ = ["Reconcile"]

log = logging.getLogger(__name__)
CHORE = "reconcile"
GONE = 3
"""Periods without a sign of whoever reconciles, after which another worker does."""
REFILL, LEAST_REFILL = 8, 2048
"""Messages that a key's queue is filled up to, for each request that a worker on it has in hand, and at least."""


class Reconcile(Step):
    """The chore, and the watch on whoever does it."""

    name = "reconcile"

    def __init__(
        self,
        worker: Worker,
        crowd: Crowd | None = None,
        *,
        ensure_broker: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ensure_broker`: start it again if it died. `clock`: this machine's own, in seconds."""
        super().__init__()
        self._worker = worker
        self._settings = worker.settings
        self._crowd = crowd or Crowd()
        self._ensure_broker = ensure_broker
        self._turn: float | None = None
        self._clock = clock
        self._clocks: tuple[float, float] | None = None
        self._skip_until = 0.0
        self._watch: int | None = None

    @property
    def pause(self) -> float:
        """Seconds between reconciliations."""
        return self._settings.reconcile

    @property
    def is_elected(self) -> bool:
        """Whether this worker reconciles for all."""
        return self._turn is not None

    @property
    def watches_neighbours(self) -> bool:
        """Whether this worker looks for dead ones on its machine."""
        return self._watch is not None

    def after_outage(self) -> None:
        """Leases may not have been renewed: nobody is given up for one lease period."""
        self._skip_until = self._clock() + self._settings.lease

    def step(self) -> None:
        """Reconcile, if this worker does it, or does it from now on."""
        self._ensure_broker()
        self._give_up_neighbours()
        if self._renew() or self._succeed():
            self._give_up_leases()
            try:
                self._refill()
            finally:  # neither a broker that is away nor a page that cannot be added up holds up the other
                self._add_up()

    # who reconciles

    def _renew(self) -> bool:
        """Whether it is still this worker that reconciles."""
        if self._turn is None:
            return False
        self._turn = self._worker.ledger.write(chores.take, CHORE, self._turn)
        if self._turn is None:
            log.info("another worker reconciles now")
            return False
        self._watch_clock(self._turn)
        return True

    def _succeed(self) -> bool:
        """Whether this worker reconciles from now on, since nobody does."""
        if not self._crowd.may_look():
            return False
        with self._worker.database.read() as connection:
            done, now = chores.last_done(connection, CHORE)
        self._watch_clock(now)
        patience = GONE * self._settings.reconcile
        if done is not None and abs(now - done) < patience:  # more in the future: the database's clock was set back
            return False
        self._turn = self._worker.ledger.write(chores.take, CHORE, done)
        return self._turn is not None

    def _watch_clock(self, now: float) -> None:
        """Skip a lease period if the database's clock moved much more than ours since the last look: then leases prove
        nothing. Every worker watches, whoever reconciles. One that has just begun knows of no outage and no jump before
        it, so it waits as long; workers dead beside it are found by their locks at once."""
        before, self._clocks = self._clocks, (now, self._clock())
        if before is None:
            self.after_outage()
            return
        moved, passed = now - before[0], self._clocks[1] - before[1]
        if moved - passed > self._settings.lease / 2:
            log.warning("the database's clock jumped %.0f s: nobody is given up for one lease period", moved - passed)
            self.after_outage()

    # what is done

    def _give_up_leases(self) -> None:
        if self._clock() >= self._skip_until:
            expire = partial(requests.expire_leases, lease=self._settings.lease)
            self._log_expired(self._worker.ledger.write(expire), "its lease ran out")

    def _add_up(self) -> None:
        """Keep what a run's rows add up to: its requests by status, its scores."""
        write = self._worker.ledger.write
        write(sums.fold)
        write(runs.mend_counts)
        # by a connection of its own: what is generated here waits for no sums, and for nobody who holds them
        fold_all(self._worker.database, budget_s=self._settings.reconcile)

    def _refill(self) -> None:
        """Ring for what waits, as far as the queues are not full."""
        database = self._worker.database
        with database.read() as connection:
            look = looks.look(connection, silent_s=self._settings.lease * 2)
        each = REFILL * self._worker.places
        self._give_up_guests([run_id for w in look.work if not w.waiting for run_id in w.races])
        keys = [w.load_key for w in look.work if w.waiting and not w.spec.here]  # who answers these hears no bell
        publish_due(self._settings, database, {key: max(LEAST_REFILL, each * look.seats.get(key, 0)) for key in keys})

    def _give_up_guests(self, run_ids: Sequence[int]) -> None:
        """Of races: these hold nothing that runs out."""
        if run_ids:
            self._worker.ledger.write(partial(races.close_gone, silent_s=self._settings.lease * 2), run_ids)

    def _give_up_neighbours(self) -> None:
        """Of the workers of a machine the one that holds a lock does; the kernel passes it on when that one is gone."""
        if self._watch is None:
            self._watch = lock_alone(self._settings.lock_path, f"neighbours-{self._known_as}")
        if self.watches_neighbours and (dead := self._dead_neighbours()):
            expired = self._worker.ledger.write(requests.expire_workers, dead)
            self._log_expired(expired, "its worker is dead")

    @cached_property
    def _known_as(self) -> str:
        return database_id(self._worker.database)

    def _dead_neighbours(self) -> list[str]:
        """Workers that share our lock folder and whose device nobody holds any more."""
        me, folder = self._worker.identity, self._settings.lock_path
        with self._worker.database.read() as connection:
            near = workers.beside(connection, me)
        free = {d for d in set(near.values()) if d != me.device and is_free(folder, d)}
        return [id_ for id_, device in near.items() if device in free or device == me.device]

    def close(self) -> None:
        """Leave the watch on the neighbours to another one; for the rest it is enough to be gone."""
        super().close()
        if self._watch is not None:
            os.close(self._watch)
            self._watch = None

    def _log_expired(self, expired: Sequence[requests.ExpiredRequest], why: str) -> None:
        for e in expired:
            struck = ", struck" if e.struck else ""
            log.warning("request %d, attempt %d: %s; %s%s", e.request_id, e.attempt, why, e.status, struck)
