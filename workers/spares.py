"""Processes that a worker forked before it opened anything, for the engine and the decoder that it will need first.

Each waits to be told which module to be, with which environment and locks. So they cost no imports of their own, and
know nothing that they are not told: no password, no file and no connection of their worker.
"""

import gc
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import NoReturn

from workers.pipes import die_with_parent, receive, send
from workers.title import rename

__all__ = ["Forked", "Spare", "fork_ahead", "take_spare"]

LOOK = 0.01
"""Seconds between two looks at whether a process has ended that somebody waits for."""
FDS = 1 << 20
"""No open file has a larger number."""
_spares: list["Spare"] = []


class Forked:
    """A child that was forked, as `subprocess.Popen` shows one that it started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        with self._lock:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if ended else None
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same when it has ended. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(LOOK)
        return code


class Spare:
    """A forked process that is nothing yet, and the line on which it is told what to be."""

    def __init__(self, process: Forked, line: socket.socket) -> None:
        self.process = process
        self._line = line

    def become(self, module: str, environ: Mapping[str, str], keep_fds: Sequence[int]) -> tuple[Forked, Connection]:
        """Have it run this module's `main`, with this environment and these open files; gives its pipe. Who listens
        there hears of it if it has died."""
        with self._line as line:
            connection = Connection(os.dup(line.fileno()))
            with suppress(OSError):
                send(connection, {"module": module, "environ": dict(environ), "fds": len(keep_fds)})
                socket.send_fds(line, [b"."], keep_fds)
        return self.process, connection


def fork_ahead(count: int) -> None:
    """Have so many spares, or fewer where the machine has no room for them now. Only for a process of one thread that
    has opened nothing yet."""
    parent = os.getpid()
    for _ in range(count):
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return
        if not pid:
            _be_spare(theirs.detach(), parent)
        theirs.close()
        _spares.append(Spare(Forked(pid), ours))


def take_spare() -> Spare | None:
    """A spare that is alive; None if none is left."""
    while _spares:
        spare = _spares.pop()
        if spare.process.poll() is None:
            return spare
    return None


def _be_spare(fd: int, parent: int) -> NoReturn:
    """The life of a spare, which ends here: nothing may come back into what its worker does."""
    code = 1
    try:
        os.closerange(3, fd)
        os.closerange(fd + 1, FDS)
        os.setsid()
        die_with_parent(parent)
        rename(sys.orig_argv[0], "-P", "-m", __name__)
        _become_what_is_told(fd, parent)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except EOFError:  # never needed
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become_what_is_told(fd: int, parent: int) -> None:
    with socket.socket(fileno=os.dup(fd)) as line:
        told = receive(Connection(os.dup(fd)))
        _, locks, _, _ = socket.recv_fds(line, 1, told["fds"])
    for lock in locks:
        os.set_inheritable(lock, True)  # as they are in a process that was started with them
    os.environ.clear()
    os.environ.update(told["environ"])
    sys.argv = [told["module"], str(fd), str(parent)]
    rename(sys.orig_argv[0], "-P", "-m", *sys.argv)
    gc.enable()
    import_module(told["module"]).main()
