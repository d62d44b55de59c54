"""An engine in this process: for one question, where nobody else waits for the model and nothing outlives its death."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

from videval.errors import NoFreeDevice, VidevalError, as_failure
from videval.models.catalog import load_model
from videval.protocols import Caller, Model, Server
from videval.settings import Settings
from videval.types import Allowance, Answer, Ask, GenerationSettings, ModelSpec, Prompt, Stage
from workers.device import Device, devices_for
from workers.engine.batcher import Batcher
from workers.locks import claim_device, release_device

__all__ = ["EngineHere", "device_here", "engine_here"]

_Heard = SimpleQueue[Server | Answer | BaseException]


LONGEST_END = 5.0
"""Seconds that a model may take to come to an end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asker(Caller):
    """Whoever waits in `ask`."""

    heard: _Heard
    on_stage: Callable[[Stage], None]

    def entered(self, stage: Stage) -> None:
        self.on_stage(stage)

    def answered(self, answer: Answer) -> None:
        self.heard.put(answer)

    def failed(self, error: VidevalError) -> None:
        self.heard.put(error)


class EngineHere:
    """Loads by `load` when it is first asked, in the thread that then serves it; answers one prompt at a time.

    `load_s`: how many seconds loading took, once it did.
    """

    def __init__(self, load: Callable[[], Model | Server]) -> None:
        self.load_s = 0.0
        self._load = load
        self._heard: _Heard = SimpleQueue()
        self._ids = itertools.count()
        self._server: Server | None = None
        self._serving: threading.Thread | None = None

    def ask(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        alone: bool,
        together: str,
        load_key: str,
        on_stage: Callable[[Stage], None],
        allowance: Allowance | None = None,
    ) -> Answer:
        """Answer one prompt; blocks. Raises RequestFailure, EnvironmentProblem."""
        id_ = next(self._ids)
        ask = Ask(id=id_, prompt=prompt, settings=settings, alone=alone, together=together, allowance=allowance)
        self.loaded().ask(ask, _Asker(heard=self._heard, on_stage=on_stage))
        answer = self._next()
        assert isinstance(answer, Answer)
        return answer

    def loaded(self) -> Server:
        """The server, loaded if it is not. Raises ModelUnavailable."""
        if self._server is None:
            self._serving = threading.Thread(target=self._serve, name="serve", daemon=True)
            self._serving.start()
            server = self._next()
            assert isinstance(server, Server)
            self._server = server
        return self._server

    def close(self) -> None:
        """Let the model go, if it answers batches; its thread is waited for, as torch must not outlive this process."""
        if isinstance(self._server, Batcher) and self._serving is not None:
            self._server.close()
            self._serving.join(LONGEST_END)

    def describe(self) -> Mapping[str, str]:
        """What the numbers depend on, as the model says it."""
        return self.loaded().describe()

    def _serve(self) -> None:
        began = time.monotonic()
        try:
            loaded = self._load()
            self.load_s = time.monotonic() - began
            server = loaded if isinstance(loaded, Server) else Batcher(loaded, 1)
            self._heard.put(server)
            server.run()
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits
            self._heard.put(error)

    def _next(self) -> Server | Answer:
        heard = self._heard.get()
        if isinstance(heard, VidevalError):
            raise heard
        if isinstance(heard, BaseException):
            raise as_failure(heard) from heard
        return heard


@contextmanager
def engine_here(spec: ModelSpec, settings: Settings) -> Iterator[EngineHere]:
    """An engine of this model on the first free device, which nobody else uses meanwhile. Raises NoFreeDevice."""
    with device_here(spec, settings) as device:
        gb = settings.prefix_gb
        engine = EngineHere(lambda: load_model(spec, devices=device.names, dtype=spec.dtype, prefix_gb=gb))
        try:
            yield engine
        finally:
            engine.close()


@contextmanager
def device_here(spec: ModelSpec, settings: Settings) -> Iterator[Device]:
    """The first free device for this model, the only one that torch sees until the block ends. Raises NoFreeDevice."""
    try:
        held = claim_device(settings.lock_path, devices_for(spec, settings.devices))
    except NoFreeDevice as error:
        error.hint = "wait for it, or name another: --devices cpu:9, or 1 for a second GPU; see: videval status"
        raise
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = held.device.visible
    try:
        yield held.device
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        release_device(held)
