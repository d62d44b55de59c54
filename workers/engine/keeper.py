"""One model kept loaded: a process, the thread that starts and hears it, and another process when it dies."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from videval.errors import DeadlineExceeded, ModelUnavailable, ProcessDied, RequestFailure
from videval.types import ModelSpec, Stage
from workers.child import Child
from workers.engine.flight import Guilt
from workers.engine.mailbox import Mailbox

if TYPE_CHECKING:
    from videval.settings import Settings

__all__ = ["Keeper", "Loaded"]

log = logging.getLogger(__name__)
PARTING = 3.0
"""Seconds that a process has to say that its requests to an endpoint are over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The model that an engine holds, how many requests it wants in hand, and what it says of itself."""

    load_key: str
    spec: ModelSpec
    dtype: str
    slots: int = 1
    about: Mapping[str, str]


class Keeper:
    """Keeps one model loaded on `devices`; `start` gives a new engine process."""

    def __init__(
        self,
        spec: ModelSpec,
        load_key: str,
        dtype: str,
        *,
        devices: tuple[str, ...],
        settings: "Settings",
        start: Callable[[], Child],
    ) -> None:
        self.load_key, self.dtype = load_key, dtype
        self._spec, self._devices, self._settings, self._start = spec, devices, settings, start
        self.mailbox = Mailbox(settings.generate_deadline)
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._loading: Future[Loaded] = Future()
        self._lives = 0
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_loading(self) -> bool:
        """Whether the model is being loaded."""
        return not self._loading.done()

    @property
    def is_again(self) -> bool:
        """Whether this is not its first process: the model could be loaded before."""
        return self._lives > 1

    @property
    def loaded(self) -> Loaded | None:
        """What is loaded now."""
        loading = self._loading
        return loading.result() if loading.done() and loading.exception() is None else None

    @property
    def pid(self) -> int | None:
        """The process id, None if there is none."""
        child = self._child
        return child.pid if child else None

    def wait(self, patience: float | None = None) -> Loaded | None:
        """The model when it is loaded, None if it is not within `patience` seconds. Raises ModelUnavailable."""
        loading = self._loading
        wait([loading], patience)
        return loading.result() if loading.done() else None

    def retire(self) -> None:
        """End the process when what is being generated is answered; all else is let go of at once."""
        self.mailbox.close()
        self.mailbox.wait_until_empty()
        self.end()

    def end(self) -> None:
        """End the process at once; comes back when it is gone."""
        self.mailbox.empty("the worker was stopped")
        self._part()
        with self._lock:
            self._is_ended = True
            if self._child is not None:
                self._child.end()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _part(self) -> None:
        """Have a process that asks an endpoint tell the fleet's budget what is over, and end by itself."""
        with self._lock:
            if self._spec.remote is None or self._child is None or self.loaded is None:
                return
            self._child.send({"op": "close"})
        if threading.current_thread() is not self._thread:
            self._thread.join(PARTING)

    # its thread

    def _run(self) -> None:
        error = ModelUnavailable("the worker was stopped")
        try:
            while self._live():
                self._loading = Future()
        except ModelUnavailable as unavailable:
            error = unavailable
        except Exception as unforeseen:  # nobody may wait for ever: whatever it was, the next load mends it
            log.exception("the engine's thread failed")
            error = ModelUnavailable(f"the engine's thread failed: {type(unforeseen).__name__}: {unforeseen}")
        self._give_up(error)

    def _give_up(self, error: ModelUnavailable) -> None:
        self.mailbox.empty(f"the model is not loaded any more: {error}")
        if self._loading.done():
            self._loading = Future()
        self._loading.set_exception(error)

    def _live(self) -> bool:
        """One process from its start to its death; whether another is to follow. Raises ModelUnavailable."""
        self._lives += 1
        child = self._start()
        try:
            with self._lock:
                if self._is_ended:
                    return False
                self._child = child
            self._loading.set_result(self._load(child))
            self.mailbox.serve(child)
            error, guilt = self._hear_out(child)
        finally:
            with self._lock:
                self._child = None
            child.kill()
        return self._lose(error, guilt)

    def _load(self, child: Child) -> Loaded:
        limit = self._settings.load_deadline
        message = {"spec": asdict(self._spec), "devices": self._devices, "dtype": self.dtype}
        own = {"batch_size": self._settings.batch_size, "prefix_gb": self._settings.prefix_gb}
        child.send({"op": "load", **own, **message, **self._shared()})
        deadline = time.monotonic() + limit
        try:
            while not child.wait(deadline):
                if time.monotonic() >= deadline:
                    raise ModelUnavailable(f"loading took longer than {limit:g} s", hint="VIDEVAL_LOAD_DEADLINE")
            said = child.receive()
        except (EOFError, OSError):
            raise ModelUnavailable(f"the engine died while it loaded the model ({child.death()})") from None
        if said["op"] != "loaded":
            raise ModelUnavailable(said["message"], hint=said["hint"])
        more = {"slots": said["slots"], "about": said["about"]}
        return Loaded(load_key=self.load_key, spec=self._spec, dtype=self.dtype, **more)

    def _shared(self) -> Mapping[str, str]:
        """For a model at an endpoint, where the budget is that the fleet shares; may hold a password."""
        if self._spec.remote is None:
            return {}
        from workers.address import broker_address  # settings, which the engine's process does not load

        return {"broker": broker_address(self._settings).client}

    def _hear_out(self, child: Child) -> tuple[RequestFailure, Guilt]:
        """Hear the process until it dies or must be ended: of what, and by whose fault."""
        while True:
            try:
                if child.wait(self.mailbox.deadline()):
                    self.mailbox.hear(child.receive())
                    continue
            except (EOFError, OSError):
                how = f"the engine died while it worked on this request ({child.death()})"
                return ProcessDied(how), self.mailbox.guilt_of_death()
            guilt = self.mailbox.guilt_of_delay()
            if guilt is not None:
                return self._too_long(guilt), guilt

    def _too_long(self, guilt: Guilt) -> DeadlineExceeded:
        what = {Stage.PREPARE: "preparing", Stage.GENERATE: "generation", None: "a word of the engine"}[guilt.stage]
        limit = self._settings.generate_deadline
        return DeadlineExceeded(f"{what} took longer than {limit:g} s (VIDEVAL_GENERATE_DEADLINE)")

    def _lose(self, error: RequestFailure, guilt: Guilt) -> bool:
        self.mailbox.lose(error, guilt)
        if not self.mailbox.is_open:
            return False
        log.error("%s; starting a new engine", error)
        return True
