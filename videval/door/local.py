"""Workers on this machine for the length of a block: started, tended by a thread, and ended however the block ends."""

import asyncio
import logging
import os
import signal
import threading
import time
from types import TracebackType
from typing import Self

from videval.door.opened import ask
from videval.errors import BrokerRefuses, BrokerUnavailable, UsageError, VidevalError
from videval.settings import Settings
from workers.broker import BrokerUser
from workers.device import parse_devices
from workers.fleet import Fleet
from workers.template import Template

__all__ = ["LocalFleet", "trouble_with"]

log = logging.getLogger(__name__)
TICK = 1.0
"""Seconds between two looks at the workers."""
BROKER_PATIENCE = 15.0
"""Seconds that a start waits for a broker that is away."""
_started: set["LocalFleet"] = set()
"""The fleets of this process that are between start and stop."""


class LocalFleet:
    """The workers of this machine's devices between `start` and `stop`, which a `with` block calls.

    May be used in any thread and, by `async with`, in a running event loop. Workers end with this process, however
    that ends; a process that is forked inside the block leaves them alone. Ctrl-C while they end kills them.
    """

    def __init__(self, *, settings: Settings, patience: float = 30.0) -> None:
        self.settings = settings
        self._patience = patience
        self._over = threading.Event()
        self._pid = 0
        self._fleet: Fleet | None = None
        self._thread: threading.Thread | None = None
        self._user: BrokerUser | None = None

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices by their short names; empty before the start."""
        return tuple(device.label for device in self._fleet.devices) if self._fleet else ()

    @property
    def alive(self) -> int:
        """How many workers run."""
        return len(self._fleet.alive) if self._fleet and self._is_here() else 0

    @property
    def trouble(self) -> str:
        """Why no worker can be started on any device; empty while there is hope."""
        return self._fleet.hopeless if self._fleet and self._is_here() else ""

    def start(self) -> Self:
        """Start the workers; returns before they are up. UsageError or NoFreeDevice for a device that is none,
        DatabaseUnavailable, SchemaMismatch, BrokerUnavailable if these are not as workers need them."""
        if self._is_here():
            raise UsageError("this fleet is started already", hint="one `with` block for each videval.fleet(...)")
        fleet = Fleet(settings=self.settings, devices=parse_devices(self.settings.devices), tied=True)
        ask(self.settings, lambda database: None)
        self._user = _broker_user(self.settings)
        fleet.template = Template()
        self._fleet, self._pid = fleet, os.getpid()
        self._over.clear()
        self._thread = threading.Thread(target=self._tend, args=(fleet,), name="videval fleet", daemon=True)
        self._thread.start()
        _started.add(self)
        return self

    def stop(self) -> None:
        """End the workers and wait until they are gone; nothing to do in a process that did not start them."""
        fleet, thread, user = self._fleet, self._thread, self._user
        if fleet is None or thread is None or user is None or not self._is_here():
            return
        self._over.set()
        try:
            thread.join()
            fleet.stop(patience=self._patience)
        except BaseException:  # a second Ctrl-C
            fleet.signal(signal.SIGKILL)
            fleet.wait(5.0)
            raise
        finally:
            self._pid = 0
            _started.discard(self)
            user.leave()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.create_task(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.gather(starting, return_exceptions=True)
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.create_task(asyncio.to_thread(self.stop)))

    def _is_here(self) -> bool:
        """Whether it was started, by this very process."""
        return self._pid == os.getpid()

    def _tend(self, fleet: Fleet) -> None:
        """Start who is due, until it is over; what the machine refuses now is tried again."""
        while not self._over.is_set():
            try:
                fleet.tick()
            except (OSError, VidevalError) as error:  # no process, file or lock to be had at the moment
                log.warning("the workers cannot be looked after: %s", error)
            self._over.wait(TICK)


def trouble_with(settings: Settings) -> str:
    """Why no fleet that this process started on a database can do anything; empty if one can, or if there is none."""
    mine = [fleet.trouble for fleet in list(_started) if fleet.settings.database == settings.database]
    return "\n".join(mine) if all(mine) else ""


def _broker_user(settings: Settings) -> BrokerUser:
    """A user of the broker, which is waited for a moment if it is away."""
    deadline = time.monotonic() + BROKER_PATIENCE
    while True:
        try:
            return BrokerUser(settings)
        except BrokerRefuses:
            raise
        except BrokerUnavailable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)
