"""The gate before an endpoint: who may send a request waits here until the budget that all workers share has room."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from throttled.exceptions import BaseThrottledError

from videval.models.endpoints import Endpoint
from videval.protocols import Gate, Permit
from videval.types import Allowance
from workers.endpoint_gate.budget import LEASE, Budget, End

__all__ = ["RedisGate"]

log = logging.getLogger(__name__)
SIGN = 1.0
"""Seconds between two signs of life of who waits."""
PATIENCE = 1.0
"""Seconds until Redis is asked again when it was away."""
AWAY = (RedisError, BaseThrottledError, OSError)
Step = Callable[[], Awaitable[float | None]]
"""A step of the budget."""


@dataclass(kw_only=True, eq=False)
class _Pass(Permit):
    """A request on its way through the gate and back. `sent_at`: of time.monotonic(), None before it may be sent."""

    is_probe: bool = False

    gate: "RedisGate"
    tokens: int
    cost: float
    allowance: Allowance | None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sent_at: float | None = None

    def done(self, *, tokens: int | None = None, cost: float | None = None) -> None:
        """It is answered."""
        used, paid = self.tokens if tokens is None else tokens, self.cost if cost is None else cost
        self._end("done", tokens=used, cost=paid)

    def throttled(self, retry_after: float | None = None) -> None:
        """Too many."""
        self._end("throttled", after=retry_after, is_too_much=True)

    def failed(self, status: int | None = None, *, why: str = "", is_sent: bool = True) -> None:
        """The endpoint failed; an error of its own may be of too much, a broken connection says nothing of that."""
        self._end("failed", is_too_much=status is not None, why=why, unsent=None if is_sent else self.tokens)

    def refused(self) -> None:
        """The endpoint works."""
        self._end("refused")

    def dropped(self) -> None:
        """Nobody knows: what was sent may be paid for."""
        tokens, cost = (self.tokens, self.cost) if self.sent_at is not None else (0, 0.0)
        self._end("dropped", tokens=tokens, cost=cost)

    def _end(self, how: str, **more: Any) -> None:
        took = 0.0 if self.sent_at is None else time.monotonic() - self.sent_at
        self.gate.end(self, End(id=self.id, how=how, took=took, **more))


class RedisGate(Gate):
    """One worker's gate before an endpoint, in one event loop. While Redis is away nothing is sent.

    `url`: the broker's; `alive` hears now and then that somebody waits, so that nobody takes that for hanging.
    """

    def __init__(self, endpoint: Endpoint, url: str, *, alive: Callable[[], object] = lambda: None) -> None:
        self._endpoint, self._alive = endpoint, alive
        self._budget = Budget(endpoint, url)
        self._line, self._writing = asyncio.Lock(), asyncio.Lock()
        self._freed = asyncio.Event()
        self._out: dict[str, _Pass] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._leaving = set[asyncio.Task[None]]()
        self._is_away = False

    async def enter(self, tokens: int, *, cost: float = 0.0, allowance: Allowance | None = None) -> Permit:
        """Wait for leave to send a request. RunHalted if that does not fit into what its run may take."""
        pass_ = _Pass(gate=self, tokens=tokens, cost=cost, allowance=allowance)
        self._out[pass_.id] = pass_
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
        try:
            await self._go_through(pass_)
        except BaseException:  # it was given up, or its run is halted: what it has taken so far is given back
            pass_.dropped()
            raise
        return pass_

    def end(self, pass_: _Pass, end: End) -> None:
        """A request is over, or was given up; only the first word on it counts."""
        if self._out.pop(pass_.id, None) is None:
            return
        leaving = asyncio.create_task(self._leave(end, pass_.allowance))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Come back when all that was said is in Redis."""
        if self._renewing is not None:
            self._renewing.cancel()
        await asyncio.gather(*self._leaving)
        await self._budget.close()

    async def _go_through(self, pass_: _Pass) -> None:
        budget, tokens = self._budget, pass_.tokens
        if pass_.allowance is not None:
            await self._until(partial(budget.hold, pass_.id, tokens, pass_.cost, pass_.allowance))
        async with self._line:  # first come, first served; and of each worker one at most waits with a minute's grant
            await self._until(partial(budget.take_tokens, tokens))
            await self._until(budget.take_request)
            await self._until(partial(self._admit, pass_))
        pass_.sent_at = time.monotonic()

    async def _admit(self, pass_: _Pass) -> float | None:
        pause, pass_.is_probe = await self._budget.admit(pass_.id, pass_.tokens, pass_.allowance)
        return pause

    async def _until(self, step: Step) -> None:
        """Ask until it is granted; somebody who leaves may be what it waits for."""
        while (pause := await self._asked(step)) is not None:
            self._alive()
            self._freed.clear()
            with suppress(TimeoutError):  # wait_for of Python 3.11 loses a cancellation that comes with the event
                async with asyncio.timeout(min(pause, SIGN)):
                    await self._freed.wait()
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # Redis' client may lose it on the way; then it would be sent
            raise asyncio.CancelledError

    async def _asked(self, step: Step) -> float | None:
        """What the budget says; while Redis is away nothing is granted."""
        try:
            said = await step()
        except AWAY as error:
            if not self._is_away:
                log.warning("endpoint %s: nothing is sent while the broker is away (%s)", self._endpoint.name, error)
            self._is_away = True
            return PATIENCE
        if self._is_away:
            log.warning("endpoint %s: the broker is back", self._endpoint.name)
        self._is_away = False
        return said

    async def _leave(self, end: End, allowance: Allowance | None) -> None:
        """Say it in Redis, as long as that would not know by itself: then the lease has run out."""
        until = time.monotonic() + LEASE

        async def leave() -> None:
            async with self._writing:
                await self._budget.leave(end)
                if allowance is not None:
                    await self._budget.settle(end, allowance)

        while await self._asked(leave) is not None and time.monotonic() < until:
            await asyncio.sleep(PATIENCE)
        self._freed.set()

    async def _renew(self) -> None:
        """Renew the leases of all that is out, for as long as something is."""
        while self._out:
            await asyncio.sleep(LEASE / 3)
            await self._asked(self._renew_once)

    async def _renew_once(self) -> None:
        async with self._writing:  # so that nothing that has left is among them
            out = list(self._out.values())
            sent = [pass_.id for pass_ in out if pass_.sent_at is not None]
            held = [(pass_.id, pass_.allowance) for pass_ in out if pass_.allowance is not None]
            await self._budget.renew(sent, held)
