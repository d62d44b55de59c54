"""One worker: claims requests, has them answered, stores the answers; knows what it holds at every moment."""

import logging
import os
import random
import socket
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import psutil

from videval.benchmarks.catalog import benchmark as find_benchmark
from videval.db import queue, requests, results, workers
from videval.db.records import Claim, WorkerIdentity
from videval.db.session import Connection, Database
from videval.errors import (
    DeadlineExceeded,
    EnvironmentProblem,
    ModelUnavailable,
    ProcessDied,
    RequestFailure,
    Unforeseen,
    UnknownName,
    VidevalError,
)
from videval.inference import DiedInCompany, Released, infer
from videval.scoring import predict, score
from videval.settings import Settings
from videval.types import RequestStatus, Response, Stage
from workers import spool
from workers.decoders import Decoders
from workers.device import HeldDevice, dtype_for, lock_domain
from workers.engine import Engine, Loaded
from workers.ledger import Held, Ledger, Trouble

__all__ = ["Worker", "identity"]

log = logging.getLogger(__name__)
_OUTCOMES = {RequestStatus.FAILED: "failed", RequestStatus.QUEUED: "will be tried again"}
DEAF_PAUSE = 0.2
"""Seconds between two messages that a worker hears and cannot heed: it has no model, or they are for others."""
STAGE_PATIENCE = 2.0
"""Seconds that noting a stage may wait for the database: a batch waits with it."""
SOME_BELLS, RECENTLY = 3, 2.0
"""Bells in a row that rang for nothing, the last of them so many seconds ago: what a worker does then has a name."""
VERSIONS = ("torch", "transformers", "decord", "av", "videval")


def identity(settings: Settings, held: HeldDevice) -> WorkerIdentity:
    """Who this worker is: a new id for each life, a name that people know it by (gpu0@host)."""
    host = socket.gethostname()
    return WorkerIdentity(
        id=uuid.uuid4().hex,
        name=f"{held.device.label}@{host}",
        host=host,
        lock_domain=lock_domain(settings.lock_path),
        pid=os.getpid(),
        device=held.device.id,
        device_name=held.device.name,
        environment={name: version(name) for name in VERSIONS} | {"device": held.device.name},
    )


class Worker:
    """All that one worker process owns: device, engine, decoders, the requests in hand."""

    def __init__(self, settings: Settings, database: Database, held_device: HeldDevice) -> None:
        self.settings = settings
        self.database = database
        self.device = held_device.device
        self.identity = identity(settings, held_device)
        self.engine = Engine(settings, held_device.device, keep_fds=held_device.fds)
        self.decoders = Decoders(settings, keep_fds=held_device.fds)
        self.ledger = Ledger(database)
        self._notes = ThreadPoolExecutor(1, thread_name_prefix="stages")
        self.draining, self.ending = self.ledger.draining, self.ledger.ending
        self.done = self.failed = self.refused = 0
        self.refuses: frozenset[str] = frozenset()
        self._not_here_in_a_row = 0
        self._last_run = 0
        self._bells_for_nothing = 0
        self._last_bell = 0.0

    # the Celery task

    def answer(self, request_id: int) -> None:
        """Claim, decode, generate, store: a request's whole way through this worker. Never raises.

        The bell of `request_id` means that there is work: it may be another request whose turn it is.
        """
        claim = self._claim(request_id)
        if claim is None:
            return
        with self.ledger.hold(claim) as held:
            try:
                self._answer(held)
            except Exception as error:
                log.exception("request %d: unforeseen", claim.request_id)
                self._fail(held, Unforeseen(f"{type(error).__name__}: {error}"))

    def _claim(self, request_id: int) -> Claim | None:
        loaded = None if self.draining.is_set() else self.engine.ready()
        if loaded is None:
            self.ledger.insist(lambda c: queue.unring(c, [request_id]))
            self.ending.wait(DEAF_PAUSE)  # its queue is about to be left; until then, do not empty it
            return None
        claim = None if self._rings_for_nothing(request_id, loaded) else self._take(request_id, loaded)
        self._last_bell = time.monotonic()
        self._bells_for_nothing = self._bells_for_nothing + 1 if claim is None else 0
        self._last_run = claim.run.run_id if claim is not None else self._last_run
        return claim

    def _take(self, request_id: int, loaded: Loaded) -> Claim | None:
        """The request whose turn it is. A bell that was for others goes back to them, and not at once to this worker
        again."""

        def take(connection: Connection) -> tuple[Claim | None, bool]:
            taken = requests.claim_next(
                connection,
                request_id,
                self.identity,
                lease=self.settings.lease,
                load_key=loaded.load_key,
                dtype=loaded.dtype,
                after=self._last_run,
            )
            is_own = taken is not None and taken.request_id == request_id
            return taken, not is_own and queue.unring_for_others(connection, request_id, loaded.load_key, loaded.dtype)

        claim, was_for_others = self.ledger.insist(take) or (None, False)
        if claim is None and was_for_others:
            self.ending.wait(DEAF_PAUSE)
        return claim

    def _rings_for_nothing(self, request_id: int, loaded: Loaded) -> bool:
        """Whether nothing is to be had, by a look that holds up no writer. Asked after a bell in vain: there may be
        thousands more of a run that was paused."""
        if not self._bells_for_nothing:
            return False
        try:
            with self.database.read() as connection:
                has_work = requests.has_work(connection, loaded.load_key, loaded.dtype)
                mine = (loaded.load_key, loaded.dtype)
                return not has_work and not queue.rings_for_others(connection, request_id, *mine)
        except EnvironmentProblem:
            return False

    def _answer(self, held: Held) -> None:
        claim = held.claim
        try:
            response = infer(
                claim,
                root=self._data_root(claim),
                frames=self.decoders,
                engine=self.engine,
                on_stage=partial(self._enter, held),
                allow_symlinks=self.settings.allow_symlinks,
            )
        except DiedInCompany:
            self._release(held, alone=True)
        except Released:
            self._release(held)
        except (EnvironmentProblem, UnknownName) as error:
            self._not_here(held, error)
        except (ProcessDied, DeadlineExceeded) as error:
            if self.ending.is_set():  # this worker ended its children itself
                self._release(held)
            else:
                self._strike(held, error)
        except RequestFailure as error:
            self._fail(held, error)
        else:
            self._store(held, response)

    def _data_root(self, claim: Claim) -> Path:
        """Where this host has the run's data: below its own data root if it is there, else where it was enqueued."""
        own = self.settings.data_root
        here = own.expanduser().absolute() / claim.run.benchmark if own else None
        return here if here is not None and here.is_dir() else Path(claim.run.data_root)

    def _enter(self, held: Held, stage: Stage) -> None:
        """Note the stage; the engine's stages in the row beside the work, since the device must not wait for them."""
        if stage == held.stage:
            return
        if stage in (Stage.DECODE, Stage.PREPARE) and (self.draining.is_set() or held.lost):
            raise Released("its lease was lost" if held.lost else "the worker is draining")
        held.stage, held.since = stage, time.monotonic()
        if stage == Stage.GENERATE:
            self._notes.submit(self._write_stage, held, stage)
        elif stage != Stage.WAIT:
            self._write_stage(held, stage)

    def _write_stage(self, held: Held, stage: Stage) -> None:
        try:
            write = self.database.write
            write(lambda c: requests.enter_stage(c, [held.pair], stage), durable=False, patience=STAGE_PATIENCE)
        except EnvironmentProblem as error:
            log.warning("stage of request %d not noted: %s", held.claim.request_id, error)

    def _store(self, held: Held, response: Response) -> None:
        claim, began = held.claim, time.monotonic()
        held.stage, held.since = Stage.STORE, began
        samples = [s.sample for s in claim.samples]
        predictions = predict(samples, response.text, packed=claim.packed)
        scores = score(find_benchmark(claim.run.benchmark), samples, predictions)

        def complete(connection: Connection) -> bool:
            timed = spool.with_store_time(response, time.monotonic() - began)
            return results.complete(connection, claim, timed, predictions, scores)

        stored = self.ledger.insist(complete, otherwise=lambda: spool.keep(self.settings, claim, response))
        if stored:
            self.done += 1
            self._not_here_in_a_row = 0
            self.ledger.over(Trouble.DATA)
        elif stored is False:
            self.refused += 1
            log.warning(
                "request %d, attempt %d: answer refused: the lease was lost, the request is not its own any more",
                claim.request_id,
                claim.attempt,
            )

    def _fail(self, held: Held, error: RequestFailure) -> None:
        claim = held.claim
        delay = self.settings.retry_delay * 2**claim.retries * random.uniform(0.75, 1.25)
        notes = "\n".join(getattr(error, "__notes__", [])) or traceback.format_exc()
        retries = self.settings.max_retries
        status = self.ledger.insist(
            lambda c: requests.fail(c, *held.pair, error, delay=delay, max_retries=retries, traceback=notes)
        )
        self._note_failure(held, error, status)

    def _strike(self, held: Held, error: RequestFailure) -> None:
        self._note_failure(held, error, self.ledger.insist(lambda c: requests.strike(c, *held.pair, error)))

    def _note_failure(self, held: Held, error: RequestFailure, status: RequestStatus | None) -> None:
        outcome = "not its own any more" if status is None else _OUTCOMES[status]
        log.warning("request %d (%s): %s; %s", held.claim.request_id, error.kind, error, outcome)
        if status == RequestStatus.FAILED:
            self.failed += 1

    def _release(self, held: Held, *, delay: float = 0.0, alone: bool = False) -> None:
        self.ledger.insist(lambda c: requests.release(c, [held.pair], delay=delay, alone=alone))

    def _not_here(self, held: Held, error: VidevalError) -> None:
        """This machine cannot do it (no data, no disk, no plugin): say so, leave the request to others, and pause,
        longer each time in a row, so that a host without its data does not snatch what healthy ones would answer."""
        said = f"{error} ({error.hint})" if error.hint else str(error)
        self.ledger.note(Trouble.DATA, said)
        log.error("request %d: %s", held.claim.request_id, said)
        self._release(held, delay=self.settings.retry_delay)
        pause = min(1.0, self.settings.retry_delay) * 2 ** min(self._not_here_in_a_row // self.concurrency, 6)
        self._not_here_in_a_row += 1
        self.draining.wait(pause)

    # what the heartbeat and the dispatcher ask

    @property
    def concurrency(self) -> int:
        """Request threads: a batch, and those that are decoded ahead."""
        return self.settings.batch_size + self.settings.look_ahead

    @property
    def message(self) -> str | None:
        """What keeps it from its work, for people; None if nothing does."""
        return self.ledger.message

    def held(self) -> list[Held]:
        """The requests in hand."""
        return self.ledger.held()

    def load(self, work: queue.KeyWork) -> Loaded:
        """Give the engine another model; what waits for the old one is released."""
        if self.device.group_size > 1:
            raise ModelUnavailable(
                f"{work.spec.adapter} loads a model on one device, not on the group {self.device.label}",
                hint="name the devices one by one: VIDEVAL_DEVICES=0,1",
            )
        return self.engine.load(work.spec, work.load_key, dtype_for(work, self.identity.device))

    def rss_mb(self) -> float:
        """Resident memory of this process and its children, MiB."""
        own = psutil.Process()
        total = 0
        for process in [own, *own.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        return total / 2**20

    def pulse(self) -> workers.Pulse:
        """What it is doing now."""
        loaded, held = self.engine.loaded, self.held()
        state = "draining" if self.draining.is_set() else self._state(bool(held))
        activity = {
            str(h.claim.request_id): {
                "run": h.claim.run.name,
                "stage": h.stage,
                "seconds": round(time.monotonic() - h.since, 1),
                "video": h.claim.samples[0].sample.video,
            }
            for h in held
        }
        return workers.Pulse(
            state=state,
            model=loaded.spec.name if loaded else None,
            loads=self.engine.loads,
            activity=activity,
            rss_mb=self.rss_mb(),
            busy_s=self.engine.busy_s,
            done=self.done,
            failed=self.failed,
            refused=self.refused,
            message=self.message,
            refuses=sorted(self.refuses),
        )

    def _state(self, is_busy: bool) -> str:
        if self.engine.is_loading:
            return "loading"
        if is_busy:
            return "busy"
        if self._bells_for_nothing >= SOME_BELLS and time.monotonic() - self._last_bell < RECENTLY:
            return workers.PASSING
        return "idle" if self.engine.loaded else "starting"

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
        self._notes.shutdown(wait=False, cancel_futures=True)
        self.ledger.wait_until_empty(5.0)
        pairs = [h.pair for h in self.held() if h.stage != Stage.STORE]
        try:
            self.database.write(lambda c: requests.release(c, pairs), patience=5.0)
            self.database.write(lambda c: workers.stop(c, self.identity.id, self.message), patience=5.0)
        except EnvironmentProblem as error:
            log.warning("left without saying so: %s", error)
        self.database.close()

    def replay_spool(self) -> int:
        """Store answers that earlier workers of this home kept on disk; returns how many were still wanted."""
        return spool.replay(self.settings, self.database)
