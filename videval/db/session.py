"""Opens the database, and the one way to write to it: a transaction that takes its lock first and is tried again."""

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Float, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from videval.errors import DatabaseUnavailable, EnvironmentProblem
from videval.settings import Settings

__all__ = ["Connection", "Database", "db_now", "open_database", "refuse_network_file_system"]

T = TypeVar("T")

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.juicefs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "pvfs2"}
)
PATIENCE = 60.0
"""Seconds that a write waits for other writers before it gives up."""
OVERTAKEN_TIMES = 20
FROZEN = 120.0
"""Seconds after which PostgreSQL ends the transaction of a process that stands still or whose host is gone."""


class db_now(FunctionElement[float]):
    """The database's own clock in seconds since the epoch, with sub-second digits on every back end."""

    type = Float()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgresql_now(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def _dumps(value: Any) -> str:
    """JSON that PostgreSQL takes too: a NaN becomes the text "nan"."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


class Database:
    """A pool of connections with `read` and `write`; every query is a function of `videval.db` that takes one."""

    def __init__(self, engine: Engine, *, url: str) -> None:
        self.engine = engine
        self.url = url
        """The URL without its password, for messages."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries; DatabaseUnavailable if there is none."""
        try:
            with self.engine.connect().execution_options(videval_begin="DEFERRED") as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise self._unavailable(error) from error

    def write(self, work: Callable[[Connection], T], *, patience: float = PATIENCE, durable: bool = True) -> T:
        """Run `work` in one transaction and return its result, again if another writer was in the way.

        `work` may run several times: it must do nothing but SQL. What is not `durable` may be lost when PostgreSQL
        itself crashes in the next second, and is not waited for to reach the disk. Raises DatabaseUnavailable when
        the database is gone, or is still locked after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        pause, overtaken = 0.005, 0
        while True:
            try:
                with self.engine.begin() as connection:
                    if not durable and self.dialect == "postgresql":
                        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
                    return work(connection)
            except (OperationalError, InterfaceError, DBAPIError) as error:
                overtaken += _is_overtaken(error)
                passing = overtaken < OVERTAKEN_TIMES if _is_overtaken(error) else _passing(error)
                if not passing or time.monotonic() > deadline:
                    raise self._unavailable(error) from error
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 0.5)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _unavailable(self, error: SQLAlchemyError) -> Exception:
        if not isinstance(error, OperationalError | InterfaceError):
            return error
        reason = str(getattr(error, "orig", error)).strip().split("\n")[0]
        if "disk is full" in reason:
            return EnvironmentProblem(f"database {self.url}: the disk is full", hint="free some space; the run goes on")
        hint = "is the server up? VIDEVAL_DATABASE_URL says where it is looked for"
        if "no such table" in reason or "no such column" in reason:
            hint = "videval db upgrade"
        elif self.dialect == "sqlite":
            hint = "VIDEVAL_HOME must be a writable folder on a local disk"
        return DatabaseUnavailable(f"database {self.url}: {reason}", hint=hint)


def _passing(error: DBAPIError) -> bool:
    """Whether another writer was in the way (SQLite busy, PostgreSQL serialization failure or deadlock)."""
    if getattr(error.orig, "sqlstate", None) in {"40001", "40P01", "55P03"}:
        return True
    return "database is locked" in str(error.orig) or "database table is locked" in str(error.orig)


def _is_overtaken(error: DBAPIError) -> bool:
    """Whether another writer inserted the same row between this one's look and its insert (PostgreSQL only)."""
    return getattr(error.orig, "sqlstate", None) == "23505"


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        default = "DEFERRED" if read_only else "IMMEDIATE"
        mode = connection.get_execution_options().get("videval_begin", default)
        connection.exec_driver_sql(f"BEGIN {mode}")


def _mounts() -> list[tuple[str, str]]:
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [(f[4].replace("\\040", " "), f[f.index("-") + 1]) for f in fields if "-" in f]


def refuse_network_file_system(folder: Path, mounts: list[tuple[str, str]] | None = None) -> None:
    """Raise EnvironmentProblem if `folder` lies on a network file system, where SQLite loses data."""
    path = folder.expanduser().absolute()
    above = [(m, t) for m, t in (_mounts() if mounts is None else mounts) if path.is_relative_to(m)]
    mount, kind = max(above, key=lambda pair: len(pair[0]), default=("/", ""))
    if kind in NETWORK_FILE_SYSTEMS:
        raise EnvironmentProblem(
            f"{folder} is on a network file system ({kind} at {mount}), where SQLite loses data",
            hint="export VIDEVAL_HOME=/var/tmp/videval-$USER   (or VIDEVAL_DATABASE_URL=postgresql+psycopg://...)",
        )


def _sqlite_engine(settings: Settings, url: str, *, read_only: bool, pool_size: int) -> Engine:
    path = Path(make_url(url).database or "")
    refuse_network_file_system(path.parent)
    if read_only:
        uri = f"file:{path}?mode=ro"
        engine = create_engine(f"sqlite:///{uri}&uri=true", json_serializer=_dumps, pool_size=pool_size)
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(f"cannot create {path.parent}: {error}", hint="set VIDEVAL_HOME") from error
        engine = create_engine(url, json_serializer=_dumps, pool_size=pool_size, max_overflow=2)
    _prepare_sqlite(engine, read_only=read_only)
    return engine


def open_database(settings: Settings, *, read_only: bool = False, pool_size: int = 2) -> Database:
    """Open the database of these settings; nothing is created but SQLite's own folder.

    `read_only`: SQLite in `mode=ro`, PostgreSQL in read-only transactions.
    """
    url = settings.database
    try:
        safe = make_url(url).render_as_string(hide_password=True)
        backend = make_url(url).get_backend_name()
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(
            "VIDEVAL_DATABASE_URL is not a database URL",
            hint="postgresql+psycopg://user:password@host/videval",
        ) from error
    if backend == "sqlite":
        return Database(_sqlite_engine(settings, url, read_only=read_only, pool_size=pool_size), url=safe)
    if backend != "postgresql":
        raise DatabaseUnavailable(f"{backend} is not supported", hint="use postgresql+psycopg:// or sqlite:///")
    options = f"-c idle_in_transaction_session_timeout={FROZEN * 1000:.0f}"
    options += " -c default_transaction_read_only=on" if read_only else ""
    connect_args = {"connect_timeout": 5, "options": options}
    engine = create_engine(
        url,
        json_serializer=_dumps,
        pool_size=pool_size,
        max_overflow=2,
        pool_pre_ping=True,
        connect_args=connect_args,
    )
    return Database(engine, url=safe)
