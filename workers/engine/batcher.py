"""A Model made a Server: prepares on a thread of its own, chooses what goes together, generates batch after batch.

No pipe and no process: whoever has a Model and a thread can drive one.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videval.errors import ModelFailure, OutOfMemory, ProcessDied, as_failure
from videval.protocols import Caller, Inputs, Model
from videval.types import Answer, Ask, Generation, Stage

__all__ = ["Batcher"]

GRACE = 0.5
"""Of the time that a question took to prepare, for how long it waits for others about its clip that are next in line:
with the clip at hand these take hardly any, and a batch of all takes not much longer than one of the first."""


@dataclass(kw_only=True, eq=False)
class _Job:
    """An Ask that has not been answered; times are of the monotonic clock, `ready_at` when it last began to wait."""

    ask: Ask
    caller: Caller
    alone: bool
    inputs: Inputs = None
    is_ready: bool = False
    ready_at: float = 0.0
    prepare_s: float = 0.0
    wait_s: float = 0.0

    def wait(self) -> None:
        """It waits for its batch from now on."""
        self.ready_at = time.monotonic()
        self.caller.entered(Stage.WAIT)

    def begin(self) -> None:
        """Its batch begins."""
        self.wait_s += time.monotonic() - self.ready_at
        self.caller.entered(Stage.GENERATE)


def _choose(ready: Sequence[_Job], size: int) -> list[_Job]:
    """The next batch: the oldest, and up to `size` in all that may go with it.

    Those of its settings may, of its clip first; one that runs alone goes by itself when it is the oldest.
    """
    if not ready:
        return []
    first = min(ready, key=lambda job: job.ask.id)
    if first.alone:
        return [first]
    fitting = [job for job in ready if not job.alone and job.ask.settings == first.ask.settings]
    return sorted(fitting, key=lambda job: (job.ask.together != first.ask.together, job.ask.id))[:size]


class Batcher:
    """A Server over a Model, for batches of up to `size`."""

    def __init__(self, model: Model, size: int) -> None:
        self.slots = size
        self._model = model
        self._changed = threading.Condition()
        self._waiting: dict[int, _Job] = {}
        self._to_prepare: deque[int] = deque()
        self._broken: ProcessDied | None = None
        self._closed = False

    def ask(self, ask: Ask, caller: Caller) -> None:
        """Take a prompt on."""
        with self._changed:
            self._waiting[ask.id] = _Job(ask=ask, caller=caller, alone=ask.alone)
            self._to_prepare.append(ask.id)
            self._changed.notify_all()

    def forget(self, id: int) -> bool:
        """Drop an Ask that is in no batch yet, and say whether it was; one that is gets its answer."""
        with self._changed:
            self._changed.notify_all()
            return self._waiting.pop(id, None) is not None

    def describe(self) -> Mapping[str, str]:
        """As the model does."""
        return self._model.describe()

    def close(self) -> None:
        """End both threads after what they have in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self) -> None:
        """Generate in this thread until `close`. Raises ProcessDied when the model's device is broken."""
        threading.Thread(target=self._prepare_all, name="prepare", daemon=True).start()
        while batch := self._next_batch():
            self._generate(batch)

    # the thread that prepares

    def _prepare_all(self) -> None:
        while (job := self._next_to_prepare()) is not None:
            job.caller.entered(Stage.PREPARE)
            began = time.monotonic()
            try:
                job.inputs = self._model.prepare(job.ask.prompt, job.ask.settings)
            except ProcessDied as error:
                self._break(error)
                return
            except Exception as error:  # noqa: BLE001 - whatever a model's libraries raise is this request's failure
                self._drop(job, error)
            else:
                job.prepare_s = time.monotonic() - began
                self._let_wait([job])

    def _next_to_prepare(self) -> _Job | None:
        with self._changed:
            while not self._closed:
                while self._to_prepare:
                    job = self._waiting.get(self._to_prepare.popleft())
                    if job is not None:
                        return job
                self._changed.wait()
        return None

    def _let_wait(self, jobs: Sequence[_Job]) -> None:
        """These can be generated, unless they are forgotten meanwhile. Callers hear of it before a batch can begin."""
        for job in jobs:
            job.wait()
        with self._changed:
            for job in jobs:
                job.is_ready = True
            self._changed.notify_all()

    def _drop(self, job: _Job, error: Exception) -> None:
        with self._changed:
            is_wanted = self._waiting.pop(job.ask.id, None) is not None
            self._changed.notify_all()
        if is_wanted:
            job.caller.failed(as_failure(error))

    def _break(self, error: ProcessDied) -> None:
        with self._changed:
            self._broken = error
            self._changed.notify_all()

    # the thread that generates

    def _next_batch(self) -> list[_Job]:
        """What is generated next, as soon as there is something; nothing when it is closed."""
        with self._changed:
            while not self._closed:
                if self._broken is not None:
                    raise self._broken
                batch = _choose([job for job in self._waiting.values() if job.is_ready], self.slots)
                patience = self._patience(batch)
                if batch and patience <= 0:
                    for job in batch:
                        del self._waiting[job.ask.id]
                    return batch
                self._changed.wait(patience if batch else None)
        return []

    def _patience(self, batch: Sequence[_Job]) -> float:
        """How many seconds a batch still waits for others about its first one's clip."""
        if not batch or len(batch) == self.slots or batch[0].alone:
            return 0.0
        first = batch[0]
        following = next((job for job in self._waiting.values() if not job.is_ready), None)
        if following is None or following.alone or not following.ask.together == first.ask.together != "":
            return 0.0
        return first.ready_at + GRACE * first.prepare_s - time.monotonic()

    def _generate(self, batch: Sequence[_Job]) -> None:
        for job in batch:
            job.begin()
        began = time.monotonic()
        try:
            generations = self._answers([job.inputs for job in batch])
        except ProcessDied:
            raise  # nobody's failure here: who owns the process ends it, and knows who was being generated
        except Exception as error:  # noqa: BLE001 - whatever a model's libraries raise is a request's failure
            self._fail(batch, error)
        else:
            seconds = time.monotonic() - began
            for job, generation in zip(batch, generations, strict=True):
                job.caller.answered(
                    Answer(generation=generation, prepare_s=job.prepare_s, wait_s=job.wait_s, generate_s=seconds)
                )

    def _answers(self, inputs: Sequence[Inputs]) -> list[Generation]:
        generations = self._model.generate(inputs)
        if len(generations) != len(inputs):
            raise ModelFailure(f"the model gave {len(generations)} answers to {len(inputs)} prompts")
        return generations

    def _fail(self, batch: Sequence[_Job], error: Exception) -> None:
        """A batch failed: each of it is tried alone, so that one's failure is its own; memory was all of theirs."""
        if len(batch) == 1 or isinstance(error, OutOfMemory | MemoryError):
            failure = as_failure(error)
            for job in batch:
                job.caller.failed(failure)
            return
        with self._changed:
            for job in batch:
                job.alone, job.is_ready = True, False
                self._waiting[job.ask.id] = job
        self._let_wait(batch)
