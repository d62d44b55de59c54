"""A request's way through the worker: frames, prompt, answer, scores, row; and what becomes of it when that fails."""

import logging
import random
import re
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from videval.asking import asking
from videval.benchmarks.catalog import find_benchmark
from videval.db import requests, results, runs
from videval.db.records import Claim, RunConfig
from videval.db.session import Connection
from videval.errors import (
    ApiFailure,
    DeadlineExceeded,
    EnvironmentProblem,
    ProcessDied,
    RequestFailure,
    RunHalted,
    Unforeseen,
    UnknownName,
    VidevalError,
)
from videval.inference import DiedInCompany, Engine, FrameSource, Released, get_clips, infer
from videval.settings import Settings
from videval.types import RequestStatus, Response, Sample, Stage
from workers import spool
from workers.ledger import Held, Ledger, Trouble
from workers.stages import Stages

__all__ = ["Answerer", "Ended", "Infer"]

log = logging.getLogger(__name__)
_OUTCOMES = {RequestStatus.FAILED: "failed", RequestStatus.QUEUED: "will be tried again"}


@dataclass(kw_only=True)
class Ended:
    """How many requests this worker answered, failed, and answered in vain, since their lease was lost."""

    done: int = 0
    failed: int = 0
    refused: int = 0


class Infer(Protocol):
    """How a claimed request becomes a response: `videval.inference.infer`, or what does the same with objects."""

    def __call__(
        self,
        key: str,
        samples: Sequence[Sample],
        run: RunConfig,
        *,
        root: Path,
        frames: FrameSource,
        engine: Engine,
        on_stage: Callable[[Stage], None],
        alone: bool = False,
        queue_s: float = 0.0,
        allow_symlinks: bool = False,
    ) -> Response:
        """Answer it; raises as `videval.inference.infer` does."""


class Answerer:
    """Answers what was claimed. `on_answer` hears of each response that was stored; `infer` makes it."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        frames: FrameSource,
        engine: Engine,
        *,
        places: Callable[[], int],
        on_answer: Callable[[Claim, Response], None],
        infer: Infer = infer,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._frames = frames
        self._engine = engine
        self._places = places
        self._on_answer = on_answer
        self._infer = infer
        self.stages = Stages(ledger)
        self._not_here_in_a_row = 0
        self.ended = Ended()

    def answer(self, claim: Claim) -> None:
        """A claimed request's whole way. Never raises."""
        with self._ledger.hold(claim) as held:
            try:
                self._answer(held)
            except Exception as error:
                log.exception("request %d: unforeseen", claim.request_id)
                self._fail(held, Unforeseen(f"{type(error).__name__}: {error}"))

    def get_clips(self, claim: Claim) -> None:
        """Have the clips of a request in the cache, before it is claimed; raises as `infer` does."""
        allow, root = self._settings.allow_symlinks, self._data_root(claim)
        get_clips(claim.samples, claim.run, root=root, frames=self._frames, allow_symlinks=allow)

    def _answer(self, held: Held) -> None:
        claim = held.claim
        try:
            response = self._infer(
                claim.key,
                claim.samples,
                claim.run,
                root=self._data_root(claim),
                frames=self._frames,
                engine=self._engine,
                on_stage=partial(self.stages.enter, held),
                alone=claim.alone,
                queue_s=claim.queue_s,
                allow_symlinks=self._settings.allow_symlinks,
            )
        except DiedInCompany:
            self._release(held, alone=True)
        except Released:
            self._release(held)
        except RunHalted as error:
            self._halt(held, error)
        except (EnvironmentProblem, UnknownName) as error:
            self._not_here(held, error)
        except (ProcessDied, DeadlineExceeded) as error:
            if self._ledger.ending.is_set():  # this worker ended its children itself
                self._release(held)
            else:
                self._strike(held, error)
        except RequestFailure as error:
            self._fail(held, error)
        else:
            self._store(held, response)

    def _data_root(self, claim: Claim) -> Path:
        """Where this host has the run's data: below its own data root if it is there, else where it was enqueued."""
        own = self._settings.data_root
        here = own.expanduser().absolute() / claim.run.benchmark if own else None
        return here if here is not None and here.is_dir() else Path(claim.run.data_root)

    # what becomes of it

    def _store(self, held: Held, response: Response) -> None:
        claim, began = held.claim, time.monotonic()
        self.stages.enter(held, Stage.STORE)
        reading = asking(claim.key, find_benchmark(claim.run.benchmark)).read(claim.samples, response.said)

        def complete(connection: Connection, is_late: bool) -> bool:
            timed = spool.with_store_time(response, time.monotonic() - began)
            return results.complete(connection, claim, timed, reading, resurrect=is_late)

        stored = self._keep(claim, response, complete)
        if stored:
            self.ended.done += 1
            self._not_here_in_a_row = 0
            self._ledger.over(Trouble.DATA)
            self._on_answer(claim, response)
        elif stored is False:
            self.ended.refused += 1
            log.warning(
                "request %d, attempt %d: answer refused: the lease was lost, the request is not its own any more",
                claim.request_id,
                claim.attempt,
            )

    def _keep(self, claim: Claim, response: Response, complete: Callable[[Connection, bool], bool]) -> bool | None:
        """Store an answer. While the database is away it lies in the spool as well: whatever happens to this worker,
        the next one has it. It may come late then, and counts unless another attempt was begun. None: it stays there.
        """
        try:
            return self._ledger.write(complete, False)
        except EnvironmentProblem:
            spooled = spool.keep(self._settings, claim, response)
        stored = self._ledger.insist(complete, True)
        if stored is not None and spooled is not None:
            was_there = spool.drop(spooled)
            return stored or not was_there  # a worker that started meanwhile stored it from there
        return stored

    def _fail(self, held: Held, error: RequestFailure) -> None:
        times = 1 if isinstance(error, ApiFailure) else 2**held.claim.retries  # an endpoint's budget spares it already
        delay = self._settings.retry_delay * times * random.uniform(0.75, 1.25)
        told = error.elsewhere or traceback.format_exc()
        fail = partial(requests.fail, delay=delay, max_retries=self._settings.max_retries, traceback=told)
        self._note_failure(held, error, self._ledger.insist(fail, *held.pair, error))

    def _strike(self, held: Held, error: RequestFailure) -> None:
        self._note_failure(held, error, self._ledger.insist(requests.strike, *held.pair, error))

    def _note_failure(self, held: Held, error: RequestFailure, status: RequestStatus | None) -> None:
        outcome = "not its own any more" if status is None else _OUTCOMES[status]
        log.warning("request %d (%s): %s; %s", held.claim.request_id, error.kind, error, outcome)
        if status == RequestStatus.FAILED:
            self.ended.failed += 1

    def _halt(self, held: Held, error: RunHalted) -> None:
        """Nothing of its run can be answered: pause that, once, and give this one back, at no cost."""
        run = held.claim.run
        hint = re.sub(r"\b(resume|cancel) RUN\b", rf"\1 {run.name}", error.hint)
        said = f"{error} -> {hint}" if hint else str(error)
        if self._ledger.insist(runs.halt, run.run_id, said, run.allowance):
            log.error("run %s is halted: %s", run.name, said)
        self._release(held)

    def _release(self, held: Held, *, delay: float = 0.0, alone: bool = False) -> None:
        self._ledger.insist(partial(requests.release, delay=delay, alone=alone), [held.pair])
        held.released = True

    def _not_here(self, held: Held, error: VidevalError) -> None:
        """This machine cannot do it (no data, no disk, no plugin): say so, leave the request to others, and pause,
        longer each time in a row, so that a host without its data does not snatch what healthy ones would answer."""
        said = f"{error} ({error.hint})" if error.hint else str(error)
        self._ledger.note(Trouble.DATA, said)
        log.error("request %d: %s", held.claim.request_id, said)
        self._release(held, delay=self._settings.retry_delay)
        pause = min(1.0, self._settings.retry_delay) * 2 ** min(self._not_here_in_a_row // self._places(), 6)
        self._not_here_in_a_row += 1
        self._ledger.draining.wait(pause)
