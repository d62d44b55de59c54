"""An engine in this process: for one question, where nobody else waits for the model and nothing outlives its death."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue

from videval.errors import VidevalError, as_failure
from videval.protocols import Caller, Model, Server
from videval.types import Answer, Ask, GenerationSettings, Prompt, Stage
from workers.engine.batcher import Batcher

__all__ = ["EngineHere"]

_Heard = SimpleQueue[Server | Answer | BaseException]


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
        """Answer one prompt; blocks. Raises RequestFailure, EnvironmentProblem."""
        ask = Ask(id=next(self._ids), prompt=prompt, settings=settings, alone=alone, together=together)
        self.loaded().ask(ask, _Asker(heard=self._heard, on_stage=on_stage))
        answer = self._next()
        assert isinstance(answer, Answer)
        return answer

    def loaded(self) -> Server:
        """The server, loaded if it is not. Raises ModelUnavailable."""
        if self._server is None:
            threading.Thread(target=self._serve, name="serve", daemon=True).start()
            server = self._next()
            assert isinstance(server, Server)
            self._server = server
        return self._server

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
