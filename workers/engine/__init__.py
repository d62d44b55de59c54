"""The worker's side of the engine: one thread that owns the child, batches what is ready, watches deadlines.

Request threads call `generate`, which blocks until their answer is there. A child that dies or hangs is replaced;
only the requests of the batch that was being generated (or, if none was, of what was being prepared) hear of it,
the others are handed to the new child.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from videval.errors import (
    DeadlineExceeded,
    EnvironmentProblem,
    ModelUnavailable,
    ProcessDied,
    RequestFailure,
    VidevalError,
)
from videval.inference import Released
from videval.settings import Settings
from videval.types import Answer, GenerationSettings, ModelSpec, Prompt
from workers.child import Child, Message
from workers.device import Device
from workers.wire import error_from, generation_from, prompt_message

__all__ = ["Engine", "Loaded"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The model that an engine holds, and what it says of itself."""

    load_key: str
    spec: ModelSpec
    dtype: str
    about: Mapping[str, str]


@dataclass(kw_only=True, eq=False)
class _Ticket:
    """One request on its way through the engine; its thread waits for `done`."""

    id: int
    prompt: Message
    settings: GenerationSettings
    alone: bool
    load_key: str
    on_generate: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    sent: bool = False
    prepared: bool = False
    submitted_at: float = field(default_factory=time.monotonic)
    prepared_at: float = 0.0
    prepare_s: float = 0.0
    wait_s: float = 0.0
    result: Answer | None = None
    error: BaseException | None = None

    def finish(self, *, result: Answer | None = None, error: BaseException | None = None) -> None:
        self.result, self.error = result, error
        self.done.set()


@dataclass(kw_only=True, eq=False)
class _Load:
    """A model to load; `again`: the same one as before, after its process died."""

    spec: ModelSpec
    load_key: str
    dtype: str
    again: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    error: VidevalError | None = None
    about: Mapping[str, str] = field(default_factory=dict)


class Engine:
    """The engine of one worker on one device."""

    def __init__(self, settings: Settings, device: Device, *, keep_fds: Sequence[int] = ()) -> None:
        self._settings = settings
        self._device = device
        self._keep_fds = tuple(keep_fds)
        self._lock = threading.Lock()
        self._tickets: dict[int, _Ticket] = {}
        self._arrived: deque[_Ticket] = deque()
        self._next_id = 0
        self._wanted: _Load | None = None
        self._loading: _Load | None = None
        self._child: Child | None = None
        self._batch: list[_Ticket] = []
        self._tried: _Ticket | None = None
        self._deadline = 0.0
        self._batch_began = 0.0
        self._preparing_since = 0.0
        self._closing = False
        self._closed = False
        self._wake_in: int | None
        self._wake_out, self._wake_in = os.pipe()
        self.loaded: Loaded | None = None
        self.loads = 0
        self.busy_s = 0.0
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    # what request threads and the dispatcher call

    def load(self, spec: ModelSpec, load_key: str, dtype: str) -> Loaded:
        """Make this the engine's model; waits for the batch in hand, then for the load. What waits for another model
        is let go of, in the same breath: nothing of it may reach this one.

        Raises ModelUnavailable if it cannot be loaded here.
        """
        with self._lock:
            if self._closing:
                raise ModelUnavailable("the worker is draining")
            if self._wanted is None and _is_of(self.loaded, load_key, dtype):
                assert self.loaded is not None
                return self.loaded
            request = self._coming(load_key, dtype)
            if request is None:
                request = self._wanted = _Load(spec=spec, load_key=load_key, dtype=dtype)
                self._let_go(t for t in self._tickets.values() if t.load_key != load_key)
        self._wake()
        request.done.wait()
        if request.error is not None:
            raise request.error
        return Loaded(load_key=load_key, spec=spec, dtype=dtype, about=request.about)

    def _coming(self, load_key: str, dtype: str) -> _Load | None:
        """The load of this model that is on its way, if it is the last one wanted."""
        last = self._wanted or self._loading
        return last if _is_of(last, load_key, dtype) else None

    def ready(self) -> Loaded | None:
        """The model to claim requests for, None if there is none; waits while it is loaded again after a crash."""
        while True:
            with self._lock:
                if self._closing:
                    return None
                coming = self._wanted or self._loading
                if coming is None:
                    return self.loaded
            if not coming.again:
                return None
            coming.done.wait(0.2)

    @property
    def is_loading(self) -> bool:
        """Whether a model is being loaded."""
        return self._wanted is not None or self._loading is not None

    def generate(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        alone: bool,
        load_key: str,
        on_generate: Callable[[], None],
    ) -> Answer:
        """Answer one prompt; blocks until it is generated. `on_generate` is called when its batch begins.

        Raises RequestFailure; Released if the worker lets go of it first.
        """
        with self._lock:
            if self._closing or not self._serves(load_key):
                raise Released("the engine has moved on to another model")
            self._next_id += 1
            ticket = _Ticket(
                id=self._next_id,
                prompt=prompt_message(prompt),
                settings=settings,
                alone=alone,
                load_key=load_key,
                on_generate=on_generate,
            )
            self._tickets[ticket.id] = ticket
            self._arrived.append(ticket)
        self._wake()
        ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.result is not None
        return ticket.result

    def _serves(self, load_key: str) -> bool:
        coming = self._wanted or self._loading or self.loaded
        return coming is not None and coming.load_key == load_key

    def release_waiting(self) -> None:
        """Let go of everything that is not being generated; its threads get Released."""
        with self._lock:
            self._let_go(self._tickets.values())

    def _let_go(self, tickets: Iterable[_Ticket]) -> None:
        """Give those of these back that are not being generated; called with the lock."""
        for ticket in [t for t in tickets if t not in self._batch]:
            self._forget(ticket)
            ticket.finish(error=Released("given back before it was generated"))

    def drain(self) -> None:
        """Take nothing more, let go of what waits; the batch in hand is finished."""
        with self._lock:
            self._closing = True
        self.release_waiting()

    def close(self) -> None:
        """End the child at once; the engine is of no more use."""
        self.drain()
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
            batch, self._batch = self._batch, []
            loads = [load for load in (self._wanted, self._loading) if load is not None]
            self.loaded = self._wanted = self._loading = None
        for ticket in batch:
            ticket.finish(error=Released("the worker was stopped"))
        for load in loads:
            load.error = ModelUnavailable("the worker was stopped")
            load.done.set()
        if child is not None:
            child.kill()
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    @property
    def slots(self) -> int:
        """How many requests it answers at a time."""
        return self._settings.batch_size

    @property
    def pid(self) -> int | None:
        """The child's process id, None if there is none."""
        child = self._child
        return child.pid if child else None

    # the engine thread

    def _wake(self) -> None:
        with self._lock:
            if self._wake_in is not None:
                os.write(self._wake_in, b"x")

    def _run(self) -> None:
        wake = Connection(self._wake_out, writable=False)
        try:
            while not self._closed:
                self._turn(wake)
        finally:
            with self._lock:
                if self._wake_in is not None:
                    os.close(self._wake_in)
                self._wake_in = None
            wake.close()

    def _turn(self, wake: Connection) -> None:
        """Wait for something to happen, and do what follows from it."""
        ready = self._wait(wake)
        if wake in ready:
            os.read(self._wake_out, 4096)
        try:
            if self._child is not None and self._child.connection in ready:
                self._on_message(self._child)
            self._check_deadline()
            self._begin_load()
            self._send_arrived()
            self._begin_batch()
        except (EOFError, OSError):
            self._on_death()
        except Exception:  # this thread must live: whatever it was, a new child mends it
            if self._closed:
                return
            log.exception("the engine's thread failed; starting a new engine")
            if self._child is not None:
                self._child.kill()
            self._on_death()

    def _wait(self, wake: Connection) -> list[Any]:
        child = self._child
        waited = [wake] if child is None else [wake, child.connection]
        deadline = min((d for d in (self._deadline, self._prepare_deadline()) if d), default=None)
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return wait(waited, timeout)
        except (OSError, ValueError):  # closed by another thread meanwhile
            return []

    def _begin_load(self) -> None:
        with self._lock:
            if self._wanted is None or self._batch or self._loading is not None or self._closed:
                return
            load, self._wanted = self._wanted, None
            self._loading = load
        self._restart_child()
        if self._child is None:  # closed meanwhile
            return
        spec = asdict(load.spec)
        device = "cuda:0" if self._device.is_gpu else "cpu"
        self._deadline = time.monotonic() + self._settings.load_deadline
        self.loads += 1
        self._child.send({"op": "load", "spec": spec, "device": device, "dtype": load.dtype})

    def _restart_child(self) -> None:
        """A new model gets a new process: the old one gives all its memory back."""
        with self._lock:
            child, self._child = self._child, None
            self.loaded = None
        if child is not None:
            child.kill()
        environ = dict(os.environ, CUDA_VISIBLE_DEVICES=self._device.visible)
        if not self._device.is_gpu:
            environ.setdefault("OMP_NUM_THREADS", "1")
        child = Child("workers.engine.process", environ=environ, keep_fds=self._keep_fds)
        with self._lock:
            self._child = None if self._closed else child
        if self._child is None:
            child.kill()

    def _send_arrived(self) -> None:
        if self._child is None or self.loaded is None:
            return
        while True:
            with self._lock:
                if not self._arrived:
                    return
                ticket = self._arrived.popleft()
                if ticket.id not in self._tickets:
                    continue
                if ticket.load_key != self.loaded.load_key:
                    self._let_go([ticket])
                    continue
                if not self._being_prepared():
                    self._preparing_since = time.monotonic()
                ticket.sent = True
            settings = asdict(ticket.settings)
            self._child.send({"op": "prepare", "id": ticket.id, "prompt": ticket.prompt, "settings": settings})

    def _begin_batch(self) -> None:
        if self._child is None or self.loaded is None or self._batch or self._wanted is not None:
            return
        with self._lock:
            ready = [t for t in self._tickets.values() if t.prepared]
            batch = _choose_batch(ready, self._settings.batch_size)
            self._batch, self._tried = batch, None
        if not batch:
            return
        now = time.monotonic()
        for ticket in batch:
            ticket.wait_s = now - ticket.prepared_at
            _announce(ticket)
        self._batch_began = time.monotonic()
        self._deadline = self._batch_began + self._settings.generate_deadline
        self._child.send({"op": "generate", "ids": [t.id for t in batch]})

    def _on_message(self, child: Child) -> None:
        message = child.receive()
        if message["op"] in ("prepared", "not_here", "failed"):
            self._preparing_since = time.monotonic()
        match message["op"]:
            case "loaded":
                self._on_loaded(message)
            case "load_failed":
                self._on_load_failed(ModelUnavailable(message["message"], hint=message["hint"]))
            case "prepared":
                self._on_prepared(message)
            case "generated":
                self._on_generated(message)
            case "trying":
                self._on_trying(message["id"])
            case "not_here":
                self._settle(message["id"], error=EnvironmentProblem(message["message"], hint=message["hint"]))
            case "failed":
                error = error_from(message)
                for id_ in message["ids"]:
                    self._settle(id_, error=error)

    def _on_loaded(self, message: Message) -> None:
        load, self._loading = self._loading, None
        self._deadline = 0.0
        assert load is not None
        loaded = Loaded(load_key=load.load_key, spec=load.spec, dtype=load.dtype, about=message["about"])
        with self._lock:
            self.loaded = loaded
        load.about = message["about"]
        load.done.set()

    def _on_load_failed(self, error: VidevalError) -> None:
        load, self._loading = self._loading, None
        self._deadline = 0.0
        with self._lock:
            child, self._child = self._child, None
            waiting = list(self._tickets.values())
            for ticket in waiting:
                self._forget(ticket)
        if child is not None:
            child.kill()
        for ticket in waiting:
            ticket.finish(error=Released("the model could not be loaded again"))
        if load is not None:
            load.error = error
            load.done.set()

    def _on_prepared(self, message: Message) -> None:
        with self._lock:
            ticket = self._tickets.get(message["id"])
        if ticket is None:
            assert self._child is not None
            self._child.send({"op": "drop", "ids": [message["id"]]})
            return
        ticket.prepared, ticket.prepare_s, ticket.prepared_at = True, message["seconds"], time.monotonic()

    def _on_trying(self, id_: int) -> None:
        """The batch failed, and its requests are tried one by one: this one is alone now, in its own time."""
        self._tried = self._tickets.get(id_)
        self._deadline = time.monotonic() + self._settings.generate_deadline

    def _on_generated(self, message: Message) -> None:
        for id_, generation in zip(message["ids"], message["generations"], strict=True):
            ticket = self._tickets.get(id_)
            if ticket is not None:
                result = Answer(
                    generation=generation_from(generation),
                    prepare_s=ticket.prepare_s,
                    wait_s=ticket.wait_s,
                    generate_s=message["seconds"],
                )
                self._settle(id_, result=result)

    def _settle(self, id_: int, *, result: Answer | None = None, error: VidevalError | None = None) -> None:
        with self._lock:
            ticket = self._tickets.get(id_)
            if ticket is None:
                return
            self._forget(ticket)
            if ticket in self._batch:
                self._batch.remove(ticket)
                if not self._batch:
                    self._deadline = 0.0
                    self.busy_s += time.monotonic() - self._batch_began
        ticket.finish(result=result, error=error)

    def _forget(self, ticket: _Ticket) -> None:
        self._tickets.pop(ticket.id, None)

    def _prepare_deadline(self) -> float:
        """When what is being prepared has taken too long; 0 if nothing is."""
        with self._lock:
            return self._preparing_since + self._settings.generate_deadline if self._being_prepared() else 0.0

    def _check_deadline(self) -> None:
        if self._child is None:
            return
        preparing = self._prepare_deadline()
        if preparing and time.monotonic() >= preparing:
            limit = self._settings.generate_deadline
            self._child.kill()
            guilty = self._being_prepared()
            self._lose(DeadlineExceeded(f"preparing took longer than {limit:g} s (VIDEVAL_GENERATE_DEADLINE)"), guilty)
            return
        if not self._deadline or time.monotonic() < self._deadline:
            return
        if self._loading is not None:
            limit = self._settings.load_deadline
            self._on_load_failed(
                ModelUnavailable(f"loading took longer than {limit:g} s", hint="VIDEVAL_LOAD_DEADLINE")
            )
            return
        limit = self._settings.generate_deadline
        self._child.kill()
        guilty = self._being_generated()
        error = DeadlineExceeded(f"generation took longer than {limit:g} s (VIDEVAL_GENERATE_DEADLINE)")
        self._lose(error, guilty)

    def _on_death(self) -> None:
        child = self._child
        if child is None and self._loading is None:
            return
        how = "it could not be started" if child is None else child.death() if child.is_running else "killed"
        if self._loading is not None:
            self._on_load_failed(ModelUnavailable(f"the engine died while it loaded the model ({how})"))
            return
        guilty = self._being_generated() or self._being_prepared()
        self._lose(ProcessDied(f"the engine died while it worked on this request ({how})"), guilty)

    def _lose(self, error: RequestFailure, guilty: Sequence[_Ticket]) -> None:
        """The child is gone: tell the guilty, and load the model again for the others."""
        log.error("%s; starting a new engine", error)
        with self._lock:
            self._batch, self._deadline = [], 0.0
            for ticket in guilty:
                self._forget(ticket)
            loaded, self.loaded, self._child = self.loaded, None, None
            for ticket in self._tickets.values():
                ticket.sent = ticket.prepared = False
            self._arrived = deque(self._tickets.values())
            if loaded is not None and not self._closing and self._wanted is None:
                self._wanted = _Load(spec=loaded.spec, load_key=loaded.load_key, dtype=loaded.dtype, again=True)
        for ticket in guilty:
            ticket.finish(error=error)
        self._wake()

    def _being_generated(self) -> list[_Ticket]:
        """The batch; while it is tried one by one, the one that is."""
        return [self._tried] if self._tried is not None and self._tried in self._batch else list(self._batch)

    def _being_prepared(self) -> list[_Ticket]:
        """The one that the child is preparing, if any: it does them in order."""
        sent = [t for t in list(self._tickets.values()) if t.sent and not t.prepared]
        return sorted(sent, key=lambda t: t.id)[:1]


def _is_of(model: Loaded | _Load | None, load_key: str, dtype: str) -> bool:
    return model is not None and model.load_key == load_key and model.dtype == dtype


def _announce(ticket: _Ticket) -> None:
    """Tell a request's owner that it is generated now; what goes wrong there must not cost the engine its life."""
    try:
        ticket.on_generate()
    except Exception:
        log.exception("a request's stage could not be noted")


def _choose_batch(ready: Sequence[_Ticket], size: int) -> list[_Ticket]:
    """The next batch: the oldest request, with others of the same settings unless one of them runs alone."""
    if not ready:
        return []
    first = min(ready, key=lambda t: t.id)
    if first.alone:
        return [first]
    fitting = [t for t in ready if not t.alone and t.settings == first.settings]
    return sorted(fitting, key=lambda t: t.id)[:size]
