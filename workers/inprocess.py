"""A run answered by a server in this process: the same claiming, answering and ledger as a worker's, without Celery and
without Redis.

The server is driven in the thread that calls `serve`, as an engine's process drives its own in its main thread: what a
model did when it was loaded there it finds there, and Ctrl-C reaches it. Requests are claimed and made ready in other
threads. Several processes may serve one run at once: they share it as workers do.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from videval.db import queue, requests, runs, workers
from videval.db.records import Claim, RunInfo
from videval.db.session import open_database
from videval.errors import BrokerUnavailable, EnvironmentProblem, Released, VidevalError
from videval.inference import infer
from videval.protocols import Caller, Server
from videval.settings import Settings
from videval.types import Answer, Ask, GenerationSettings, ModelSpec, Prompt, Response, RunState, Stage
from workers.answering import Infer
from workers.claiming import Deaf
from workers.device import here_seats
from workers.engine import Loaded
from workers.hand import MOST_THREADS
from workers.heartbeat import Heartbeat
from workers.locks import claim_device, release_device
from workers.loops import Loops
from workers.reconcile import Reconcile
from workers.worker import Worker

__all__ = ["ServerHere", "serve"]

log = logging.getLogger(__name__)
PAUSE = 0.1
"""Seconds between two looks for work when there is none: others have it in hand, or it is not due yet."""
JOIN = 5.0
"""Seconds that threads of ours may take to end what they do with the database."""


class ServerHere(Server, Protocol):
    """A Server that can be told to end."""

    def close(self) -> None:
        """Have `run` return after what is being generated."""


def serve(
    settings: Settings,
    run: RunInfo,
    server: ServerHere,
    spec: ModelSpec,
    *,
    answers: Infer = infer,
    on_answer: Callable[[Claim, Response], None] = lambda claim, response: None,
) -> None:
    """Answer a run by this server until nothing of it is left, also of what other processes had in hand.

    `spec`: the model's, with the digest of what is here; `answers`: how a request becomes a response; `on_answer` hears
    of each that is stored. Raises EnvironmentProblem if this process must stop before the end, and what the server
    raises. Whatever ends it, what is not answered is given back.
    """
    engine = _Engine(server, Loaded(load_key=run.load_key, spec=spec, dtype=spec.dtype, about=server.describe()))
    with _worker(settings, engine, answers, on_answer) as worker:
        worker.database.write(queue.line_up, run.run_id)
        pump = _Pump(worker, run, server)
        thread = threading.Thread(target=pump.run, name="claims", daemon=True)
        thread.start()
        try:
            server.run()
        except BaseException:
            worker.drain()
            raise
        finally:
            thread.join(JOIN)
        pump.finish()


@contextmanager
def _worker(
    settings: Settings, engine: "_Engine", answers: Infer, on_answer: Callable[[Claim, Response], None]
) -> Iterator[Worker]:
    """A worker of this process, alive in the eyes of the others until the block ends."""
    with ExitStack() as stack:
        held = claim_device(settings.lock_path, here_seats())
        stack.callback(release_device, held)
        database = open_database(settings, pool_size=2)
        worker = Worker(settings, database, held, engine=engine, answers=answers, on_answer=on_answer)
        stack.callback(worker.close)
        database.write(workers.register, worker.identity)
        database.write(workers.take_seat, worker.identity.id, engine.loaded.load_key)
        for lost in database.write(requests.expire_workers, database.write(workers.predecessors, worker.identity)):
            log.warning("request %d was in work when an earlier process died; it is asked last", lost.request_id)
        worker.replay_spool()
        reconcile = _Reconcile(worker)
        loops = Loops(Heartbeat(worker, _Leaver(worker)), reconcile, on_outage=reconcile.after_outage)
        stack.callback(loops.join, JOIN)
        stack.callback(loops.stop)
        loops.start()
        yield worker
        with suppress(EnvironmentProblem):  # what it did last would be said by no heartbeat any more
            database.write(workers.beat, worker.identity.id, worker.pulse(), patience=5.0)


class _Reconcile(Reconcile):
    """As any worker's, where there may be no broker: then nobody hears a bell either."""

    def _refill(self) -> None:
        with suppress(BrokerUnavailable):
            super()._refill()


@dataclass(frozen=True, slots=True)
class _Leaver:
    """How the heartbeat has this worker leave."""

    worker: Worker

    def shutdown(self) -> None:
        """Drain."""
        self.worker.drain()


class _Pump:
    """Claims as many requests as there are places, each answered in a thread of its own, until the run is over."""

    def __init__(self, worker: Worker, run: RunInfo, server: ServerHere) -> None:
        self._worker = worker
        self._run = run
        self._server = server
        self._changed = threading.Condition()
        self._in_hand = 0
        self._said = ""
        self._error: BaseException | None = None
        self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="request")

    def run(self) -> None:
        """Until the run is over, or the worker must leave; then the server is told to end."""
        try:
            while not self._worker.draining.is_set() and not (self._in_hand == 0 and self._is_over()):
                if not self._claim():
                    with self._changed:
                        self._changed.wait(PAUSE)
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits
            self._error = error
        finally:
            self._threads.shutdown(wait=False)
            self._server.close()

    def finish(self) -> None:
        """Raise why it ended too early, if it did."""
        if self._error is not None:
            raise self._error
        if self._worker.draining.is_set():
            why = self._worker.message or "this process was told to leave"
            hint = "nothing is lost, the same call goes on"
            raise EnvironmentProblem(f"stopped before the end of {self._run.name}: {why}", hint=hint)

    def _claim(self) -> bool:
        """Take what there are places for; whether anything was had."""
        free = self._worker.places - self._in_hand
        if free <= 0:
            return False
        try:
            taken = self._worker.claimer.claim(0, free)
        except Deaf:
            return False
        with self._changed:
            self._in_hand += len(taken)
        for claim in taken:
            self._threads.submit(self._answer, claim)
        return bool(taken)

    def _answer(self, claim: Claim) -> None:
        try:
            self._worker.answerer.answer(claim)
        finally:
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    def _is_over(self) -> bool:
        try:
            with self._worker.database.read() as connection:
                counts = runs.counts(connection, self._run.run_id)
                state = runs.get_run(connection, self._run.run_id).state
        except EnvironmentProblem:
            return False
        self._say(f"{self._run.name} is paused: videval resume {self._run.name}" if state == RunState.PAUSED else "")
        return counts.finished

    def _say(self, said: str) -> None:
        if said and said != self._said:
            log.warning(said)
        self._said = said


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Asker(Caller):
    """Whoever waits in `ask`."""

    id: int
    on_stage: Callable[[Stage], None]
    answer: "Future[Answer]" = field(default_factory=Future)
    stages: list[Stage] = field(default_factory=list)

    def entered(self, stage: Stage) -> None:
        self.stages.append(stage)
        self.on_stage(stage)

    def answered(self, answer: Answer) -> None:
        with suppress(InvalidStateError):  # it was let go of meanwhile
            self.answer.set_result(answer)

    def failed(self, error: VidevalError) -> None:
        self.let_go(error)

    def let_go(self, error: Exception) -> None:
        """Nobody answers it."""
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


class _Engine:
    """A worker's engine over a server in this process: what is loaded stays so, and nobody can end it but itself."""

    loads, is_loading, pid = 0, False, None

    def __init__(self, server: Server, loaded: Loaded) -> None:
        self.loaded = loaded
        self._server = server
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._asked: dict[int, _Asker] = {}
        self._is_drained = False
        self._busy_s = 0.0

    @property
    def slots(self) -> int:
        return self._server.slots

    @property
    def busy_s(self) -> float:
        return self._busy_s

    def load(self, spec: ModelSpec, load_key: str, dtype: str) -> Loaded:
        """What is here is loaded."""
        return self.loaded

    def ready(self) -> Loaded | None:
        return None if self._is_drained else self.loaded

    def ask(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        alone: bool,
        together: str,
        load_key: str,
        on_stage: Callable[[Stage], None],
    ) -> Answer:
        asker = _Asker(id=next(self._ids), on_stage=on_stage)
        with self._lock:
            if self._is_drained:
                raise Released("the process leaves this run")
            self._asked[asker.id] = asker
        try:
            ask = Ask(id=asker.id, prompt=prompt, settings=settings, alone=alone, together=together)
            self._server.ask(ask, asker)
            answer = asker.answer.result()
        finally:
            with self._lock:
                self._asked.pop(asker.id, None)
        self._busy_s += answer.generate_s / max(1, self.slots)
        return answer

    def give_back(self, most: int | None = None) -> int:
        with self._lock:
            waiting = [a for a in self._asked.values() if Stage.GENERATE not in a.stages][::-1][:most]
        dropped = [asker for asker in waiting if self._server.forget(asker.id)]
        for asker in dropped:
            asker.let_go(Released("the process leaves this run"))
        return len(dropped)

    def drain(self) -> None:
        with self._lock:
            self._is_drained = True
        self.give_back()

    def close(self) -> None:
        self.drain()
        with self._lock:
            left = list(self._asked.values())
        for asker in left:
            asker.let_go(Released("the process leaves this run"))
