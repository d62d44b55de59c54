"""The template: a process that has imported what a worker needs, and of which each worker is a clone.

`python -P -m workers.template_process FD PID MODULE`. It opens nothing and starts no thread, so that a fork of it is as
good as a process that was started. It is told a byte with three open files: a clone's settings, which may hold
passwords and which it never reads itself, and where the clone writes. It says which processes it made and how they
ended. It ends with the process that started it (PID); its clones go on.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from workers.spares import fork_ahead
from workers.title import rename

__all__ = ["CLONE", "main"]

CLONE = b"+"
"""What it is told to make one more."""
SPARES = 2
"""Of each clone: an engine and a decoder."""
LOOK = 1000
"""Milliseconds between looks at whether who started it is there: what that forked may hold the line open."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They are for the clones, each of which has its own, from the moment in which it is there."""


class _Template:
    """This process as long as it is no clone."""

    def __init__(self, line: socket.socket, parent: int) -> None:
        self._line = line
        self._parent = parent
        self._clones: dict[int, int] = {}
        os.close(os.pidfd_open(os.getpid()))  # an old kernel has none: better no clone than one whose end is not seen
        self._poll = select.poll()
        self._poll.register(line, select.POLLIN)

    def files_of_clone(self) -> list[int]:
        """In a clone: the files that it was given. The template itself never comes back from here."""
        while os.getppid() == self._parent:
            for fd, _ in self._poll.poll(LOOK):
                if fd != self._line.fileno():
                    self._bury(fd)
                elif files := self._cloned():
                    return files
        os._exit(0)

    def _cloned(self) -> list[int]:
        """Make a clone: its files in the clone, nothing in the template."""
        told, files, _, _ = socket.recv_fds(self._line, len(CLONE), 3)
        if told != CLONE:
            os._exit(0)
        ready, go = os.pipe()
        try:
            pid = _forked()
        except OSError:  # there is no room for a process at the moment
            _close([*files, ready, go])
            self._say(failed=os.EX_OSERR)
            return []
        if not pid:
            _close([*self._clones, go])
            self._line.close()
            _go_on_when_told(ready)
            return files
        _close([*files, ready])
        clone = os.pidfd_open(pid)
        self._clones[clone] = pid
        self._poll.register(clone, select.POLLIN)
        self._say(begun=pid)
        with suppress(BrokenPipeError), os.fdopen(go, "wb") as telling:  # it may have been killed meanwhile
            telling.write(b".")
        return []

    def _bury(self, clone: int) -> None:
        self._poll.unregister(clone)
        pid, status = os.waitpid(self._clones.pop(clone), 0)
        os.close(clone)
        self._say(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _say(self, **said: int) -> None:
        try:
            self._line.send(json.dumps(said).encode())
        except OSError:  # nobody listens any more
            os._exit(0)


def _forked() -> int:
    """Fork, if there is no other thread: what one of them holds locked would be so for ever in the clone."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise RuntimeError(f"it has {threads} threads: an import has started some")
    return os.fork()


def _go_on_when_told(ready: int) -> None:
    """In a clone: wait until its supervisor was told of it. It ends with a template that is killed before that: nobody
    would ever drain it."""
    if not os.read(ready, 1):
        os._exit(0)
    os.close(ready)


def _close(files: Iterable[int]) -> None:
    for fd in files:
        os.close(fd)


def _be_clone(settings: int, out: int, err: int) -> None:
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
    """Import what all clones share; what is imported is not looked through for garbage, here or in a clone."""
    gc.disable()
    import_module(name)
    gc.freeze()


def main() -> None:
    """Wait for clones to be wanted; in a clone, be it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by who started the fleet, it would lose how a clone ended
    line, parent, module = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    try:
        template = _Template(line, parent)
        _import(module)
        files = template.files_of_clone()
    except Exception as error:  # noqa: BLE001 - each worker is started by itself then, and says what is wrong
        sys.exit(f"videval template: {type(error).__name__}: {error} (workers start without it, some seconds later)")
    _be_clone(*files)
    sys.modules[module].main()


if __name__ == "__main__":
    main()
