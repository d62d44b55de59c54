"""The supervisor's side of the template: workers as clones of one process, which imports once what all of them need.

A clone is the template's child and not the supervisor's, and lives on without either. The template says how a clone
ended; once it is gone itself, that a clone has ended is seen, and not how.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

from workers.environs import for_workers, without_secrets
from workers.template_process import CLONE

__all__ = ["Clone", "Template"]

PATIENCE = 10.0
"""Seconds that a template may take to make a clone that somebody waits for."""
UNSEEN = os.EX_OK
"""The exit code of a clone that nobody saw end: it is held against no device."""
LONGEST = 256
"""Bytes of what a template says at once."""


class Clone:
    """A worker that a template made, or will make when its imports are done."""

    def __init__(self, template: "Template") -> None:
        self.pid: int | None = None
        self.returncode: int | None = None
        self._template = template
        self._handle: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        self._template.hear()
        if self.returncode is None and self._template.is_gone and self._has_ended():
            self.end(UNSEEN)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE
        while self.poll() is None and self.pid is None:
            self._template.listen(deadline)
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def begin(self, pid: int) -> None:
        """It has this process."""
        self.pid = pid
        with suppress(ProcessLookupError):  # it ended at once, as is said next
            self._handle = os.pidfd_open(pid)

    def end(self, code: int) -> None:
        """It has ended."""
        self.returncode = code
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _has_ended(self) -> bool:
        return self._handle is None or _speaks(self._handle)


class Template:
    """The process that is cloned. It begins its imports when this object is made: of `module`, whose `main` each clone
    runs. `close` it when all clones have ended."""

    def __init__(self, module: str = "workers.cloned") -> None:
        self._module = module
        self._lock = threading.RLock()
        self._asked: deque[Clone] = deque()
        self._clones: dict[int, Clone] = {}
        self.is_gone = False
        self._has_cloned = False
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            told = (str(theirs.fileno()), str(os.getpid()), module)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workers.template_process", *told],
                env=_environ(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id: the parent's of all clones."""
        return self._process.pid

    def successor(self) -> "Template | None":
        """One like it, when it is gone; None if it could never be cloned."""
        return Template(self._module) if self._has_cloned else None

    def clone(self, argv: Sequence[str], environ: Mapping[str, str], files: Sequence[int]) -> Clone | None:
        """One more process with this command line and environment; `files`: its standard output and standard error.
        None if there is no template any more."""
        told = json.dumps({"argv": list(argv), "environ": dict(environ)})
        with self._lock:
            try:
                with _readable(told.encode()) as settings:
                    socket.send_fds(self._line, [CLONE], [settings.fileno(), *files])
            except OSError:
                return None
            self._asked.append(made := Clone(self))
            return made

    def hear(self) -> None:
        """Note what it has said."""
        with self._lock:
            while not self.is_gone and _speaks(self._line):
                with suppress(ConnectionResetError):  # it died with requests unread: what it said before comes next
                    self._note(self._line.recv(LONGEST))

    def listen(self, deadline: float) -> None:
        """Wait until it says something; it is ended at the deadline (of time.monotonic())."""
        if not self.is_gone and not _speaks(self._line, max(0.0, deadline - time.monotonic())):
            self._process.kill()
        self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; clones that are left go on."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            self.is_gone = True
            self._line.close()

    def _note(self, said: bytes) -> None:
        if not said:
            self.close()
            return
        match json.loads(said):
            case {"begun": pid}:
                self._has_cloned = True
                self._clones[pid] = self._asked.popleft()
                self._clones[pid].begin(pid)
            case {"failed": code}:
                self._asked.popleft().end(code)
            case {"ended": pid, "code": code}:
                self._clones.pop(pid).end(code)


def _readable(text: bytes) -> socket.socket:
    """A file from which this can be read once: it may hold passwords, and lies on no disk. (No memfd, of which Pythons
    for many systems, like uv's and conda's, know nothing.) OSError if it is larger than what a socket holds."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        try:
            ours.sendall(text)
        except OSError:
            theirs.close()
            raise
    return theirs


def _speaks(file: socket.socket | int, patience: float = 0.0) -> bool:
    """Whether there is something to be heard within so many seconds. A program may have too many files for `select`."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def _environ() -> dict[str, str]:
    """No secrets, which the clones are told when they have forked their spares; and no thread of numpy's."""
    kept = for_workers().keys() & without_secrets().keys()
    return {name: os.environ[name] for name in kept} | {"OPENBLAS_NUM_THREADS": "1"}
