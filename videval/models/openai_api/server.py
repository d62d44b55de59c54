"""The Server: an event loop in which each request is a task, as many at once as there are slots."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from videval.errors import as_failure
from videval.models.dialects import transport_of
from videval.models.endpoint_file import Endpoint
from videval.models.openai_api.addresses import Addresses
from videval.models.openai_api.asking import Asking
from videval.models.openai_api.body import Body, body_of, check_size
from videval.models.openai_api.content import spoken
from videval.models.openai_api.media import Encoder
from videval.protocols import Caller, Gate, OpenGate
from videval.types import Answer, Ask, Stage

__all__ = ["ApiServer"]

SLOTS = 32
"""Requests in flight, or as many as the endpoint's entry allows, where nobody says how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    """An Ask that has not begun, since `asked_at` on the monotonic clock."""

    ask: Ask
    caller: Caller
    asked_at: float


@dataclass(kw_only=True, slots=True)
class _Running:
    """An Ask in its task; `is_sent`: it is under way, or answered."""

    ask: Ask
    task: asyncio.Task[None]
    is_sent: bool = False


class ApiServer:
    """Asks an endpoint; one Ask that is `alone` waits until nothing else runs, and all others wait for it.

    `gate`: what stands before the endpoint; another may be put there before anything is asked.
    """

    def __init__(
        self, endpoint: Endpoint, addresses: Addresses, about: Mapping[str, str], *, slots: int = SLOTS
    ) -> None:
        self.slots = min(slots, endpoint.limits.in_flight or slots)
        self.gate: Gate = OpenGate()
        self._endpoint, self._about, self._addresses = endpoint, about, addresses
        self._encoder = Encoder(endpoint.remote, exact=transport_of(endpoint.remote).exact)
        self._asking = Asking(endpoint, addresses)
        self._loop = asyncio.new_event_loop()
        self._waiting: dict[int, _Waiting] = {}
        self._running: dict[int, _Running] = {}

    def ask(self, ask: Ask, caller: Caller) -> None:
        """Take a prompt on."""
        waiting = _Waiting(ask=ask, caller=caller, asked_at=time.monotonic())
        self._loop.call_soon_threadsafe(self._take, waiting)

    def forget(self, id: int) -> bool:
        """Drop an Ask that is not under way, and say whether it was."""
        dropped: Future[bool] = Future()
        self._loop.call_soon_threadsafe(lambda: dropped.set_result(self._drop(id)))
        return dropped.result()

    def describe(self) -> Mapping[str, str]:
        """The endpoint, and how it is asked."""
        return dict(self._about)

    def close(self) -> None:
        """Have `run` return."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def run(self) -> None:
        """Answer until somebody closes it."""
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()
            asyncio.set_event_loop(None)

    async def _end(self) -> None:
        self._waiting.clear()
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.gate.close()
        await self._addresses.close()
        self._encoder.close()
        await self._loop.shutdown_asyncgens()

    def _take(self, waiting: _Waiting) -> None:
        self._waiting[waiting.ask.id] = waiting
        self._begin()

    def _drop(self, id: int) -> bool:
        if self._waiting.pop(id, None) is not None:
            self._begin()
            return True
        running = self._running.get(id)
        if running is None or running.is_sent:
            return False
        return running.task.cancel()

    def _begin(self) -> None:
        """Begin what has a place, the oldest first."""
        for waiting in list(self._waiting.values()):
            running = [other.ask.alone for other in self._running.values()]
            if len(running) >= self.slots or any(running) or (waiting.ask.alone and running):
                return
            del self._waiting[waiting.ask.id]
            task = self._loop.create_task(self._answer(waiting))
            self._running[waiting.ask.id] = _Running(ask=waiting.ask, task=task)
            task.add_done_callback(partial(self._ended, waiting.ask.id))

    def _ended(self, id: int, _: asyncio.Task[None]) -> None:
        del self._running[id]
        self._begin()

    async def _answer(self, waiting: _Waiting) -> None:
        ask, caller, running = waiting.ask, waiting.caller, self._running[waiting.ask.id]

        def entered(stage: Stage) -> None:
            running.is_sent = stage is Stage.GENERATE
            caller.entered(stage)

        try:
            began = time.monotonic()
            caller.entered(Stage.PREPARE)
            body = await self._prepared(ask)
            prepare_s = time.monotonic() - began
            answered = await self._asking.answer(body, ask, self.gate, entered)
        except Exception as error:  # noqa: BLE001 - this request's failure, as a library's would be
            caller.failed(as_failure(error))
            return
        wait_s = time.monotonic() - waiting.asked_at - prepare_s - answered.generate_s
        times = {"prepare_s": prepare_s, "wait_s": max(0.0, wait_s), "generate_s": answered.generate_s}
        caller.answered(Answer(generation=answered.generation, **times))

    async def _prepared(self, ask: Ask) -> Body:
        remote = self._endpoint.remote
        said = spoken(ask.prompt, await self._encoder.media(ask.prompt), remote)
        body = body_of(self._endpoint.model, said, ask.settings, remote)
        check_size(body, self._endpoint.limits)
        return body
