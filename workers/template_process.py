"""The template: a process that has imported what a worker needs, and of which each worker is a copy.

`python -P -m workers.template_process FD PID MODULE`. It opens nothing and starts no thread, so that a fork of it is as
good as a process that was started. It is told a byte with three open files: a copy's settings, which may hold passwords
and which it never reads itself, and where the copy writes. It says which processes it made and how they ended. It ends
with the process that started it (PID); its copies go on.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from workers.spares import fork_ahead
from workers.title import rename

__all__ = ["COPY", "main"]

COPY = b"+"
"""What it is told to make one more."""
SPARES = 2
"""Of each copy: an engine and a decoder."""
LOOK = 1000
"""Milliseconds between looks at whether who started it is there: what that forked may hold the line open."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They are for the copies, each of which has its own, from the moment in which it is there."""


class _Template:
    """This process as long as it is no copy."""

    def __init__(self, line: socket.socket, parent: int) -> None:
        self._line = line
        self._parent = parent
        self._copies: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(line, select.POLLIN)

    def files_of_copy(self) -> list[int]:
        """In a copy: the files that it was given. The template itself never comes back from here."""
        while os.getppid() == self._parent:
            for fd, _ in self._poll.poll(LOOK):
                if fd != self._line.fileno():
                    self._bury(fd)
                elif files := self._copied():
                    return files
        os._exit(0)

    def _copied(self) -> list[int]:
        """Make a copy: its files in the copy, nothing in the template."""
        told, files, _, _ = socket.recv_fds(self._line, len(COPY), 3)
        if told != COPY:
            os._exit(0)
        if not (pid := _forked()):
            _close(self._copies)
            self._line.close()
            return files
        _close(files)
        copy = os.pidfd_open(pid)
        self._copies[copy] = pid
        self._poll.register(copy, select.POLLIN)
        self._say(begun=pid)
        return []

    def _bury(self, copy: int) -> None:
        self._poll.unregister(copy)
        pid, status = os.waitpid(self._copies.pop(copy), 0)
        os.close(copy)
        self._say(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _say(self, **said: int) -> None:
        try:
            self._line.send(json.dumps(said).encode())
        except OSError:  # nobody listens any more
            os._exit(0)


def _forked() -> int:
    """Fork, if there is no other thread: what one of them holds locked would be so for ever in the copy."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise RuntimeError(f"it has {threads} threads: an import has started some")
    return os.fork()


def _close(files: Iterable[int]) -> None:
    for fd in files:
        os.close(fd)


def _be_copy(settings: int, out: int, err: int) -> None:
    """Become what the settings say. Spares are forked before these are read, so that they know nothing of them."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.dup2(out, 1)
    os.dup2(err, 2)
    _close([out, err])
    fork_ahead(SPARES)
    with os.fdopen(settings) as file:
        told = json.load(file)
    os.environ.clear()
    os.environ.update(told["environ"])
    sys.argv = told["argv"]
    rename(sys.orig_argv[0], "-P", "-m", *sys.argv)
    gc.enable()


def _import(name: str) -> None:
    """Import what all copies share; what is imported is not looked through for garbage, here or in a copy."""
    gc.disable()
    import_module(name)
    gc.freeze()


def main() -> None:
    """Wait for copies to be wanted; in a copy, be it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    line, parent, module = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    try:
        _import(module)
        files = _Template(line, parent).files_of_copy()
    except Exception as error:  # noqa: BLE001 - each worker is started by itself then, and says what is wrong
        sys.exit(f"videval template: {type(error).__name__}: {error}")
    _be_copy(*files)
    sys.modules[module].main()


if __name__ == "__main__":
    main()
