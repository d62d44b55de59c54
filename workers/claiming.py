"""From a bell to claims: the request whose turn it is, with siblings as far as a worker's fair share goes."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from videval.db import claims, queue, races
from videval.db.records import Claim, WorkerIdentity
from videval.db.session import Connection, Database
from videval.errors import EnvironmentProblem
from workers.engine import Loaded
from workers.engine.any_engine import AnyEngine
from workers.ledger import Ledger

__all__ = ["Claimer", "Clips", "Deaf"]

log = logging.getLogger(__name__)
SOME_BELLS, RECENTLY = 3, 2.0
"""Bells in a row that rang for nothing, the last of them so many seconds ago: what a worker does then has a name."""
MOST_CLIPS = 16
"""Clips that are remembered: of each that had more questions than there were places when it was claimed."""


class Deaf(Exception):
    """The bell was for others, or for a model that is not loaded yet: the queue is not to be emptied for nothing."""


class Clips:
    """The clips that a worker has and of which it may claim more, each as run id and video, the newest last."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    def by_run(self) -> dict[int, str]:
        """The newest of each run: what waits of it is claimed first."""
        return dict(self._open)

    def note(self, told: Mapping[int, str], taken: Sequence[Claim], most: int) -> None:
        """What came of a claim of `most` requests at most that was told of these: a clip that gave fewer is used up."""
        run_id, video = taken[0].run.run_id, taken[0].samples[0].video
        others = [clip for clip in self._open if clip not in ((run_id, told.get(run_id)), (run_id, video))]
        self._open = [*others[-MOST_CLIPS:], *[(run_id, video)] * (len(taken) == most)]


class Claimer:
    """What one worker claims. `neighbours`: the live workers that serve the same model, itself among them."""

    def __init__(
        self, database: Database, ledger: Ledger, engine: AnyEngine, identity: WorkerIdentity, *, lease: float
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._engine = engine
        self._identity = identity
        self._lease = lease
        self._last_run = 0
        self._clips = Clips()
        self._for_nothing = 0
        self._last_bell = 0.0
        self.neighbours = 1
        self.seconds = 0.0
        """What the last claim took."""

    def claim(self, request_id: int, most: int) -> list[Claim]:
        """What to answer on hearing this bell, `most` requests at most; none if nothing is to be had. Raises Deaf."""
        loaded = None if self._ledger.draining.is_set() else self._engine.ready()
        if loaded is None:
            self.unring(request_id)
            raise Deaf
        began = time.monotonic()
        taken: list[Claim] = []
        try:
            if not self._rings_for_nothing(request_id, loaded):
                taken = self._take(request_id, loaded, most)
        finally:
            self._last_bell = time.monotonic()
            self._for_nothing = 0 if taken else self._for_nothing + 1
        if taken:
            self._last_run, self.seconds = taken[0].run.run_id, self._last_bell - began
        return taken

    def race(self, run_ids: Sequence[int]) -> Claim | None:
        """What another worker has been at for long, to be tried here too; None if nothing is."""
        loaded = None if self._ledger.draining.is_set() else self._engine.loaded
        if loaded is None:
            return None
        who = self._answering_with(loaded), loaded.load_key, loaded.dtype
        with self._database.read() as connection:
            if not races.has_straggler(connection, run_ids, *who):
                return None
        return self._ledger.write(races.race, run_ids, *who)

    def unring(self, request_id: int) -> None:
        """This bell was heard and served nobody: it is to be rung again."""
        self._ledger.insist(queue.unring, [request_id])

    @property
    def is_passing_over(self) -> bool:
        """Whether it hears one bell after the other that is for nothing."""
        return self._for_nothing >= SOME_BELLS and time.monotonic() - self._last_bell < RECENTLY

    def _take(self, request_id: int, loaded: Loaded, most: int) -> list[Claim]:
        """A bell that was for others goes back to them, and not at once to this worker again."""
        taken, was_for_others = self._ledger.insist(partial(self._taken, request_id, loaded, most)) or ([], False)
        if was_for_others and not taken:
            raise Deaf
        return taken

    def _answering_with(self, loaded: Loaded) -> WorkerIdentity:
        """This worker, its environment with what the loaded model says of itself: commit, class, attention."""
        environment = {**loaded.about, **self._identity.environment}
        return replace(self._identity, environment=environment)

    def _taken(self, request_id: int, loaded: Loaded, most: int, connection: Connection) -> tuple[list[Claim], bool]:
        key, dtype, clips = loaded.load_key, loaded.dtype, self._clips.by_run()
        most = self._fair(connection, key, most)
        taken = claims.take(
            connection,
            request_id,
            self._answering_with(loaded),
            lease=self._lease,
            load_key=key,
            dtype=dtype,
            after=self._last_run,
            most=most,
            clips=clips,
        )
        if taken:
            self._clips.note(clips, taken, most)
        is_own = any(claim.request_id == request_id for claim in taken)
        return taken, not is_own and queue.unring_for_others(connection, request_id, key, dtype)

    def _fair(self, connection: Connection, load_key: str, most: int) -> int:
        """No worker sits on siblings that an idle one could do: of what waits, it takes its share at most."""
        if most == 1 or self.neighbours <= 1:
            return most
        waiting = queue.waiting(connection, load_key, at_most=most * self.neighbours)
        return max(1, min(most, -(-waiting // self.neighbours)))

    def _rings_for_nothing(self, request_id: int, loaded: Loaded) -> bool:
        """Whether nothing is to be had, by a look that holds up no writer. Asked after a bell in vain: there may be
        thousands more of a run that was paused."""
        if not self._for_nothing:
            return False
        try:
            with self._database.read() as connection:
                mine = (loaded.load_key, loaded.dtype)
                return not claims.has_work(connection, *mine) and not queue.rings_for_others(
                    connection, request_id, *mine
                )
        except EnvironmentProblem:
            return False
