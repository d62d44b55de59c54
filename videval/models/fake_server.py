"""The fake as a server: `fake_server:64` has 64 streams, and each ends in its own time, the youngest first.
`fake_api:64` is the same for workers without a device, as an endpoint is.

The same columns steer it. A fault is acted out when its stream ends, so that it has company: `crash`, `hang` and
`device` are the whole server's, `error` and `oom` that stream's, and `stall` never ends while the others go on.
"""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videval.errors import ModelUnavailable, ProcessDied, as_failure
from videval.models import fake
from videval.protocols import Caller
from videval.types import Answer, Ask, ModelSpec, Stage

__all__ = ["FakeServer", "load"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stream:
    """One Ask in hand; times are of the monotonic clock."""

    ask: Ask
    caller: Caller
    asked_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begun:
    """A stream that is being generated until `due`."""

    stream: _Stream
    inputs: fake.FakeInputs
    began_at: float
    prepare_s: float
    due: float


class FakeServer:
    """Generates up to `slots` at once; one that is `alone` waits until nothing else is, and all others wait for it."""

    def __init__(self, model: fake.FakeModel, slots: int) -> None:
        self.slots = slots
        self._model = model
        self._changed = threading.Condition()
        self._waiting: dict[int, _Stream] = {}
        self._begun: dict[int, _Begun] = {}

    def ask(self, ask: Ask, caller: Caller) -> None:
        """Take a prompt on."""
        with self._changed:
            self._waiting[ask.id] = _Stream(ask=ask, caller=caller, asked_at=time.monotonic())
            self._changed.notify()

    def forget(self, id: int) -> bool:
        """Drop an Ask that has no place yet, and say whether it was."""
        with self._changed:
            is_dropped = self._waiting.pop(id, None) is not None
            self._changed.notify()  # it may have been what all others waited for
            return is_dropped

    def describe(self) -> Mapping[str, str]:
        """As the model does."""
        return self._model.describe()

    def run(self) -> None:
        """Begin what has a place, end what is due. Raises ProcessDied for the fault `device`."""
        while True:
            for stream in self._take():
                self._begin(stream)
            for begun in self._due():
                self._end(begun)
            with self._changed:
                if not self._admitted():
                    self._changed.wait(self._patience())

    def _take(self) -> list[_Stream]:
        with self._changed:
            return [self._waiting.pop(stream.ask.id) for stream in self._admitted()]

    def _admitted(self) -> list[_Stream]:
        """The oldest that have a place; called with the lock."""
        admitted: list[_Stream] = []
        running = [begun.stream.ask.alone for begun in self._begun.values()]
        for stream in self._waiting.values():
            if len(running) >= self.slots or any(running) or (stream.ask.alone and running):
                break
            admitted.append(stream)
            running.append(stream.ask.alone)
        return admitted

    def _begin(self, stream: _Stream) -> None:
        began = time.monotonic()
        stream.caller.entered(Stage.PREPARE)
        try:
            inputs = self._model.prepare(stream.ask.prompt, stream.ask.settings)
            seconds = math.inf if inputs.fault == "stall" else inputs.latency_s
        except Exception as error:  # noqa: BLE001 - this stream's failure, as a library's would be
            stream.caller.failed(as_failure(error))
            return
        stream.caller.entered(Stage.GENERATE)
        self._model.record([inputs])
        now = time.monotonic()
        begun = _Begun(stream=stream, inputs=inputs, began_at=now, prepare_s=now - began, due=now + seconds)
        with self._changed:
            self._begun[stream.ask.id] = begun

    def _due(self) -> list[_Begun]:
        """What has ended, the youngest first."""
        now = time.monotonic()
        with self._changed:
            due = [begun for begun in self._begun.values() if begun.due <= now]
            return [self._begun.pop(begun.stream.ask.id) for begun in reversed(due)]

    def _end(self, begun: _Begun) -> None:
        caller, now = begun.stream.caller, time.monotonic()
        try:
            begun.inputs.act_out()
        except ProcessDied:
            raise
        except Exception as error:  # noqa: BLE001 - this stream's failure, as a library's would be
            caller.failed(as_failure(error))
            return
        wait_s = begun.began_at - begun.stream.asked_at - begun.prepare_s
        times = {"prepare_s": begun.prepare_s, "wait_s": wait_s, "generate_s": now - begun.began_at}
        caller.answered(Answer(generation=begun.inputs.generation, **times))

    def _patience(self) -> float | None:
        """Seconds until the next one is due; called with the lock."""
        due = min((begun.due for begun in self._begun.values()), default=math.inf)
        return None if due == math.inf else max(0.0, due - time.monotonic())


def load(spec: ModelSpec, *, devices: Sequence[str], dtype: str) -> FakeServer:
    """Make the fake with as many streams as its checkpoint says."""
    if not spec.checkpoint.isdecimal() or int(spec.checkpoint) < 1:
        raise ModelUnavailable(f"{spec.adapter} has streams, not {spec.checkpoint!r}", hint=f"{spec.adapter}:64")
    return FakeServer(fake.load(spec, devices=devices, dtype=dtype), int(spec.checkpoint))
