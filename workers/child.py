"""A child process with a pipe of JSON messages, that ends with its parent and can be ended at any moment.

Nothing is pickled. The child is a spare that its worker forked (`workers/spares.py`), or, where there is none, started
with `python -P -m MODULE FD`, so that it never imports from the current folder. It has the locks of its worker's device
and leads a session of its own, so that Ctrl-C in a terminal reaches the worker only, which then drains, and so that
what it starts itself is ended with it.
"""

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NoReturn

from workers.pipes import Message, receive, send
from workers.spares import Forked, take_spare

__all__ = ["Child"]

log = logging.getLogger(__name__)
KILL_PATIENCE = 30.0
"""Seconds that a process may take to end after SIGKILL; one with tens of gigabytes of memory takes a few."""

LOOK = 1.0
"""Seconds between looks at whether a silent child still runs: what it started may hold its end of the pipe open."""

_nursery = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nursery")
"""Children are started by a thread that lives as long as the process: the kernel's parent-death signal is sent
when the *thread* that started a child ends."""


class Child:
    """A running child; `receive` raises EOFError or OSError once it is dead, and `send` never waits for it."""

    def __init__(self, module: str, *, environ: Mapping[str, str], keep_fds: Sequence[int] = ()) -> None:
        self.process, self.connection = _nursery.submit(_start, module, dict(environ), tuple(keep_fds)).result()
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name=f"to-{self.pid}", daemon=True)
        self._writer.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether nobody has seen it end."""
        return self.process.returncode is None

    def send(self, message: Message) -> None:
        """Send one message, in a thread of its own: a child that hangs does not read, and its deadline must run."""
        self._outbox.put(message)

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                send(self.connection, message)
            except (EOFError, OSError):
                return  # it is dead: who receives hears of it

    def receive(self) -> Message:
        """Wait for one message."""
        return receive(self.connection)

    def wait(self, deadline: float | None) -> bool:
        """Whether it says something before `deadline` (of time.monotonic; None: whenever); EOFError if it is dead.

        Comes back without either now and then, so that a deadline that was not there before is seen.
        """
        patience = LOOK if deadline is None else max(0.0, min(deadline - time.monotonic(), LOOK))
        if self.connection.poll(patience):
            return True
        if self.process.poll() is not None and not self.connection.poll(0):
            raise EOFError
        return False

    def end(self) -> None:
        """End the child and all that it started, without waiting for that: whoever listens to it hears of it."""
        if self.is_running:
            _kill_session(self.pid)

    def kill(self) -> str:
        """End the child and all that it started at once, and say how it ended; fine if it is dead already."""
        self.end()
        try:
            code = self.process.wait(KILL_PATIENCE)
        except subprocess.TimeoutExpired:
            _end_with_it(self.pid)
        return self._buried(code)

    def death(self) -> str:
        """Say how a child that closed its pipe ended, after a moment's wait; what it had started ends with it."""
        try:
            code = self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return self.kill()
        _kill_session(self.pid)
        return self._buried(code)

    def _buried(self, code: int) -> str:
        self._outbox.put(None)
        self._writer.join(1.0)
        self.connection.close()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _kill_session(pid: int) -> None:
    """SIGKILL to all of a child's process group. Its number is not given to others while one of the group lives."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _end_with_it(pid: int) -> NoReturn:
    """A process that SIGKILL does not end sits in the kernel (a driver, a dead file server). It keeps its device's
    lock; a worker that waited for it would renew its leases for ever, so the worker ends, and others take over."""
    log.critical("process %d cannot be ended (a hung driver or file server?): this worker ends with it", pid)
    logging.shutdown()
    os._exit(os.EX_UNAVAILABLE)


def _start(
    module: str, environ: dict[str, str], keep_fds: tuple[int, ...]
) -> tuple[subprocess.Popen[bytes] | Forked, Connection]:
    if spare := take_spare():
        return spare.become(module, environ, keep_fds)
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
            env=environ,
            pass_fds=(theirs.fileno(), *keep_fds),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return process, Connection(ours.detach())
