"""Dispatch: has a worker serve the load key that it should, by what all workers can see."""

from collections.abc import Callable

from videval.db import looks, workers
from videval.db.looks import Look
from videval.db.queue import KeyWork
from videval.db.session import Connection
from workers.device import can_serve
from workers.loops import Crowd, Step
from workers.serving import Consumer, Serving
from workers.shares import Demand, Seat, assign
from workers.tail import FEWEST, Tail
from workers.worker import Worker

__all__ = ["Dispatch"]

NEAR_THE_END = 0.25
"""Seconds between looks while there may be something to give back."""
IDLE = 0.25
"""Seconds between looks of a worker that has no model: nobody but itself tells it that there is work."""
FEW = 16
"""Workers of which none is too many to look as often."""
MOST_LOOKS = 10
"""Looks after which all workers are looked at again, whatever did not change."""


class Dispatch(Step):
    """A look at what there is to do, and what follows from it."""

    name = "dispatch"

    def __init__(
        self,
        worker: Worker,
        consumer: Consumer,
        crowd: Crowd | None = None,
        *,
        queues: frozenset[str] | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`queues`: serve these only, as the user said with -Q; None is free choice. `on_change` hears when a model
        is there, or could not be loaded."""
        super().__init__()
        self._worker = worker
        self._settings = worker.settings
        self._crowd = crowd or Crowd()
        self._serving = Serving(worker, consumer, queues, on_change)
        self._tail = Tail(worker)
        self._is_near_the_end = False
        self._settled: object = None
        self._looks = 0

    @property
    def load_key(self) -> str | None:
        """What this worker serves, or is about to."""
        return self._serving.load_key

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        period = self._settings.dispatch
        if self.load_key is None and self._crowd.size <= FEW:
            period = min(period, IDLE)
        return self._crowd.pause(min(period, NEAR_THE_END) if self._is_near_the_end else period)

    def step(self) -> None:
        """Look, and do what follows."""
        if self._worker.draining.is_set():
            return
        with self._worker.database.read() as connection:
            look = self._look(connection)
        self._serving.note_refusals(look)
        self._serving.get_over(look)
        if not self._is_settled(look):
            self._settled, self._looks = self._what_counts(look), 0
            if choice := self._choice(look):
                self._serving.switch(choice)
                return
        self._serving.keep_consuming(look)
        work = look.of(self.load_key)
        self._is_near_the_end = self._tail.is_near(work)
        if work is not None and self._is_near_the_end:
            self._tail.share(work)
        if work is not None:
            self._tail.race(work)

    def _look(self, connection: Connection) -> Look:
        most = max(FEWEST, 2 * self._crowd.size)
        look = looks.look(connection, silent_s=self._settings.lease * 2, most=most)
        self._crowd.size = max(1, look.num_seats)
        self._worker.claimer.neighbours = max(1, look.seats.get(self.load_key or "", 1))
        return look

    def _is_settled(self, look: Look) -> bool:
        """Whether there is nothing to choose, so that one need not look at each worker: the model is there, each key
        has a worker, no keys take turns, and nothing has changed since all workers were looked at, not long ago."""
        self._looks += 1
        is_ready = self.load_key is None or self._serving.has_loaded(self.load_key)
        is_served = all(look.seats.values()) and len(look.work) <= look.num_seats
        return is_ready and is_served and self._looks < MOST_LOOKS and self._what_counts(look) == self._settled

    def _what_counts(self, look: Look) -> object:
        """What of a look says who serves what: more requests than workers are as good as so many."""
        return (
            self._worker.refuses,
            look.num_seats,
            tuple(
                (w.load_key, w.dtypes, w.priority, min(w.waiting + w.running, look.num_seats), look.seats[w.load_key])
                for w in look.work
            ),
        )

    def _choice(self, look: Look) -> KeyWork | None:
        """What to serve from now on; None: go on as it is."""
        with self._worker.database.read() as connection:
            choice = self._choose(connection, look)
        if choice is None or self._serving.has_loaded(choice.load_key):
            return None
        choice = self._worker.ledger.write(self._sit_down)
        return None if choice is None or self._serving.has_loaded(choice.load_key) else choice

    def _choose(self, connection: Connection, look: Look) -> KeyWork | None:
        """What this worker should serve, if anything."""
        work = look.work
        demands = [Demand(load_key=w.load_key, requests=w.waiting + w.running, priority=w.priority) for w in work]
        seats = [
            Seat(
                worker_id=w.id,
                load_key=w.load_key,
                served_s=w.served_s,
                can_serve=frozenset(k.load_key for k in work if can_serve(k, w.device) and k.load_key not in w.refuses),
            )
            for w in workers.seats(connection, silent_s=self._settings.lease * 2)
        ]
        return look.of(assign(demands, seats, turn=self._settings.turn).get(self._worker.identity.id))

    def _sit_down(self, connection: Connection) -> KeyWork | None:
        """Choose again with all other workers held still, and let them know; nothing while another one does."""
        if not workers.lock_seats(connection):
            self._settled = None
            return None
        choice = self._choose(connection, self._look(connection))
        if choice is not None and choice.load_key != self.load_key:
            workers.take_seat(connection, self._worker.identity.id, choice.load_key, loads=True)
        return choice
