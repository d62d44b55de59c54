"""One worker: claims requests, has them answered, stores the answers; knows what it holds at every moment."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from videval.db import queue, requests, workers
from videval.db.records import Claim
from videval.db.session import Database
from videval.errors import EnvironmentProblem, ModelUnavailable
from videval.inference import infer
from videval.settings import Settings
from videval.types import Response, Stage, WorkerState
from workers import spool
from workers.answering import Answerer, Infer
from workers.claiming import Claimer, Deaf
from workers.decoders import Decoders
from workers.device import dtype_for, no_room, wide_enough
from workers.engine import Engine, Loaded
from workers.engine.any_engine import AnyEngine
from workers.first_clips import decode_first_clips
from workers.hand import MOST_THREADS, Hand
from workers.ledger import Held, Ledger
from workers.locks import HeldDevice
from workers.look_ahead import LookAhead
from workers.pulse import activity, identity, rss_mb

__all__ = ["Worker"]

log = logging.getLogger(__name__)
DEAF_PAUSE = 0.2
"""Seconds between two messages that a worker hears and cannot heed: it has no model, or they are for others."""
A_WHILE = 0.5
"""Seconds that a load takes before something else is started beside it, which would only delay a shorter one."""
GIVE_BACK_PATIENCE = 2.0
"""Seconds that requests which the engine let go of may take to be released."""


class Worker:
    """All that one worker process owns: device, engine, decoders, the requests in hand.

    `on_places` hears how many places there are, whenever that changes. `engine` None: a process of its own on the
    device; `answers`: how a request becomes a response. `on_answer` hears of each response that was stored.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        held_device: HeldDevice,
        *,
        engine: AnyEngine | None = None,
        answers: Infer = infer,
        on_answer: Callable[[Claim, Response], None] = lambda claim, response: None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.device = held_device.device
        self.identity = identity(settings, held_device)
        self.engine: AnyEngine = engine or Engine(settings, held_device.device, keep_fds=held_device.fds)
        self.decoders = Decoders(settings, keep_fds=held_device.fds, gpus=held_device.device.visible)
        self.ledger = Ledger(database, lease=settings.lease)
        self.draining, self.ending = self.ledger.draining, self.ledger.ending
        self.refuses: frozenset[str] = frozenset()
        self.look_ahead = LookAhead(settings.look_ahead, fixed="look_ahead" in settings.model_fields_set)
        self.claimer = Claimer(database, self.ledger, self.engine, self.identity, lease=settings.lease)
        self.answerer = Answerer(
            settings,
            self.ledger,
            self.decoders,
            self.engine,
            places=lambda: self.places,
            on_answer=self._follow,
            infer=answers,
        )
        self._on_answer = on_answer
        self.hand = Hand(
            lambda: self.places, claim=self.claimer.claim, unring=self.claimer.unring, answer=self.answerer.answer
        )
        self.on_places: Callable[[int], None] = lambda places: None
        self._places_said = 0
        self._first_clips: threading.Timer | None = None

    def answer(self, request_id: int) -> None:
        """The Celery task: hear a bell, and come back when the request that it stands for is over. Never raises.

        The bell of `request_id` means that there is work: it may be another request whose turn it is.
        """
        try:
            self.hand.hear(request_id)
        except Deaf:
            self.ending.wait(DEAF_PAUSE)

    # how much is in hand

    @property
    def places(self) -> int:
        """How many requests are in hand at most: what the server takes at once, and those that are got ready."""
        slots = self.engine.slots
        return min(slots + self.look_ahead.ahead(slots), MOST_THREADS)

    def held(self) -> list[Held]:
        """The requests in hand."""
        return self.ledger.held()

    def load(self, work: queue.KeyWork) -> Loaded:
        """Give the engine another model; what waits for the old one is released. ModelUnavailable if there is no room
        for it, or it cannot be loaded."""
        if cramped := no_room(work.spec, self.device):
            raise ModelUnavailable(f"it {cramped}", hint=f"VIDEVAL_DEVICES={wide_enough(work.spec, self.device)}")
        with self._first_clips_beside(work.load_key):
            loaded = self.engine.load(work.spec, work.load_key, dtype_for(work, self.identity.device))
        self.look_ahead.forget()
        self.say_places()
        return loaded

    @contextmanager
    def _first_clips_beside(self, load_key: str) -> Iterator[None]:
        """Have the first clips decoded while a model is loaded, if that takes a while."""
        timer = threading.Timer(A_WHILE, self._decode_first_clips, [load_key])
        timer.daemon = True
        timer.start()
        self._first_clips = timer
        try:
            yield
        finally:
            timer.cancel()

    def _decode_first_clips(self, load_key: str) -> None:
        """As many as will be in hand at first."""
        self.decoders.prepare()
        decode_first_clips(
            self.database,
            self.identity,
            load_key,
            videos=self.settings.batch_size + self.settings.look_ahead,
            decode=self.answerer.get_clips,
            goes_on=lambda: self.engine.is_loading,
        )

    def say_places(self) -> None:
        """Tell who listens, if it is not what was said last."""
        places = self.places
        if places != self._places_said:
            self._places_said = places
            self.on_places(places)

    def _follow(self, claim: Claim, response: Response) -> None:
        timings = response.timings
        self.look_ahead.answered(get=self.claimer.seconds + timings.decode + timings.prepare, generate=timings.generate)
        self.say_places()
        self._on_answer(claim, response)

    def give_back(self, most: int) -> list[int]:
        """Release up to `most` requests that are not generated yet, the newest first; returns their ids, to be rung
        for at once. Raises EnvironmentProblem if the database is away."""
        early = self.answerer.stages.let_go(most)
        if early:
            self.ledger.write(requests.release, [held.pair for held in early])
        late = [held for held in self.held() if held.stage in (Stage.PREPARE, Stage.WAIT)]
        count = self.engine.give_back(most - len(early)) if late and most > len(early) else 0
        deadline = time.monotonic() + GIVE_BACK_PATIENCE
        while sum(held.released for held in late) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        given = early + [held for held in late if held.released and not held.claim.is_race]
        return [held.claim.request_id for held in given]

    # what the heartbeat asks

    @property
    def message(self) -> str | None:
        """What keeps it from its work, for people; None if nothing does."""
        return self.ledger.message

    def pulse(self) -> workers.Pulse:
        """What it is doing now."""
        loaded, held, ended = self.engine.loaded, self.held(), self.answerer.ended
        return workers.Pulse(
            state=WorkerState.DRAINING if self.draining.is_set() else self._state(bool(held)),
            model=loaded.spec.name if loaded else None,
            loads=self.engine.loads,
            activity=activity(held),
            rss_mb=rss_mb(),
            busy_s=self.engine.busy_s,
            done=ended.done,
            failed=ended.failed,
            refused=ended.refused,
            message=self.message,
            refuses=sorted(self.refuses),
        )

    def _state(self, is_busy: bool) -> WorkerState:
        if self.engine.is_loading:
            return WorkerState.LOADING
        if is_busy:
            return WorkerState.BUSY
        if self.claimer.is_passing_over:
            return WorkerState.PASSING
        return WorkerState.IDLE if self.engine.loaded else WorkerState.STARTING

    # the end

    def drain(self) -> None:
        """Take nothing more, release what waits, finish what is being generated."""
        self.ledger.drain()
        self.engine.drain()

    def close(self) -> None:
        """End children and give back what is still held; nothing is lost."""
        self.ledger.end()
        self.engine.close()
        self.decoders.close()
        if self._first_clips is not None:
            self._first_clips.join(5.0)
        self.ledger.wait_until_empty(5.0)
        self.ledger.close(5.0)
        pairs = [held.pair for held in self.held() if held.stage != Stage.STORE]
        try:
            self.database.write(requests.release, pairs, patience=5.0)
            self.database.write(workers.stop, self.identity.id, self.message, patience=5.0)
        except EnvironmentProblem as error:
            log.warning("left without saying so: %s", error)
        self.database.close()

    def replay_spool(self) -> int:
        """Store answers that earlier workers of this home kept on disk; returns how many were still wanted."""
        return spool.replay(self.settings, self.database)
