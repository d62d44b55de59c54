"""The end of a key's work: what one worker has not begun, idle neighbours do; what it takes long for they may race."""

import logging
import time

from videval.db import looks, queue
from videval.db.identity import database_id
from videval.db.queue import KeyWork, Ring
from videval.types import Stage
from workers.bell import ring
from workers.shares import surplus
from workers.worker import Worker

__all__ = ["FEWEST", "Tail"]

log = logging.getLogger(__name__)
PAUSE = 1.0
"""Seconds until a worker that gave something back does so again: it may have been quicker than those it is for."""
FEWEST = 64
"""Requests of a load key that a look counts at least: more are as good as so many, unless there are more workers."""
BEGUN = (Stage.GENERATE, Stage.STORE)


class Tail:
    """Gives back, and rings for it at once; races."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._next = 0.0

    def is_near(self, work: KeyWork | None) -> bool:
        """Whether less waits of what this worker serves than those who serve it can take in, it holds what it has not
        begun, and others serve the same. Not at an endpoint: all wait there for one budget, and nothing would be sent
        sooner by others."""
        worker = self._worker
        if work is None or work.spec.remote is not None or worker.claimer.neighbours < 2:
            return False
        neighbours = worker.claimer.neighbours
        if work.waiting >= max(2 * neighbours, min(neighbours * worker.places, FEWEST)):
            return False
        return any(held.stage not in BEGUN for held in worker.held())

    def share(self, work: KeyWork) -> None:
        """Give back what idle neighbours can begin; nothing while they can claim."""
        worker = self._worker
        if work.waiting or time.monotonic() < self._next:
            return
        with worker.database.read() as connection:
            in_hand = looks.in_hand(connection, work.load_key, silent_s=worker.settings.lease * 2)
        most = surplus(in_hand, worker.identity.id, slots=worker.engine.slots)
        given = worker.give_back(most) if most else []
        if given:
            self._next = time.monotonic() + PAUSE
            log.info("gave back %d requests, which idle workers can begin", len(given))
            rings = [Ring(request_id=i, load_key=work.load_key, priority=work.priority) for i in given]
            ring(worker.settings, rings, known_as=database_id(worker.database))
            worker.ledger.later(queue.mark_published, given)

    def race(self, work: KeyWork) -> None:
        """With nothing else to do, try what another worker has been at for long."""
        worker = self._worker
        if not work.races or work.waiting or worker.held():
            return
        claim = worker.claimer.race(work.races)
        if claim is not None:
            log.info("request %d: another worker takes long for it, it is tried here too", claim.request_id)
            worker.hand.welcome(claim)
