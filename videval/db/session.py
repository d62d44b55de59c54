"""Opens the database, and the one way to write to it: a transaction that takes its lock first and is tried again."""

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, ExceptionContext, Float, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
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
"""Seconds that a write waits for a connection and for other writers before it gives up."""
POOL_TIMEOUT = 1.0
"""Seconds that one look for a free connection takes; whoever finds none looks again while its patience lasts."""
OVERTAKEN_TIMES = 20
FROZEN = 120.0
"""Seconds after which PostgreSQL ends the transaction of a process that stands still or whose host is gone."""
READ_ONLY = "25006"
SERVER_STATES = frozenset({READ_ONLY, "25P03", "25P04", "XX000", "XX001", "XX002"})
"""Errors that say how the server is and not what was asked of it: a standby that takes no writes, a transaction that
it ended for its length, a failure inside."""
KEEPALIVE = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""What libpq is told, so that a host that vanished is noticed in 25 s; nothing of it matters on a unix socket."""


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
            with self._connect(time.monotonic() + PATIENCE) as connection:
                yield connection.execution_options(videval_begin="DEFERRED")
        except (DBAPIError, PoolTimeout) as error:
            if not _is_outage(error):
                raise
            raise self._unavailable(error) from error

    def write(self, work: Callable[[Connection], T], *, patience: float = PATIENCE, durable: bool = True) -> T:
        """Run `work` in one transaction and return its result, again if another writer was in the way.

        `work` may run several times: it must do nothing but SQL. What is not `durable` may be lost when PostgreSQL
        itself crashes in the next second, and is not waited for to reach the disk. Raises DatabaseUnavailable when
        the database is gone or takes no writes, or when it is still locked or no connection is free after `patience`
        seconds; an error in `work`'s own SQL is raised as it is.
        """
        deadline = time.monotonic() + patience
        pause, overtaken = 0.005, 0
        while True:
            try:
                with self._connect(deadline) as connection, connection.begin():
                    if not durable and self.dialect == "postgresql":
                        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
                    return work(connection)
            except PoolTimeout as error:
                raise self._unavailable(error) from error
            except DBAPIError as error:
                overtaken += _is_overtaken(error)
                passing = overtaken < OVERTAKEN_TIMES if _is_overtaken(error) else _passing(error)
                if not passing or time.monotonic() > deadline:
                    if not _is_outage(error):
                        raise
                    raise self._unavailable(error) from error
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 0.5)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _connect(self, deadline: float) -> Connection:
        """A connection of the pool, waited for until the deadline: a worker has more threads than connections."""
        while True:
            try:
                return self.engine.connect()
            except PoolTimeout:
                if time.monotonic() > deadline:
                    raise

    def _unavailable(self, error: DBAPIError | PoolTimeout) -> EnvironmentProblem:
        if isinstance(error, PoolTimeout):
            message = f"database {self.url}: all connections of this process are in use"
            return DatabaseUnavailable(message, hint="the database is slow, or waits for a lock: see its log")
        reason = str(error.orig).strip().split("\n")[0]
        if "disk is full" in reason:
            return EnvironmentProblem(f"database {self.url}: the disk is full", hint="free some space; the run goes on")
        hint = "is the server up? VIDEVAL_DATABASE_URL says where it is looked for"
        if "no such table" in reason or "no such column" in reason:
            hint = "videval db upgrade"
        elif self.dialect == "sqlite":
            hint = "VIDEVAL_HOME must be a writable folder on a local disk"
        elif _state(error) == READ_ONLY:
            hint = "VIDEVAL_DATABASE_URL must lead to the primary (with several hosts: target_session_attrs=read-write)"
        return DatabaseUnavailable(f"database {self.url}: {reason}", hint=hint)


def _state(error: DBAPIError) -> str | None:
    """PostgreSQL's code of an error."""
    return getattr(error.orig, "sqlstate", None)


def _is_outage(error: DBAPIError | PoolTimeout) -> bool:
    """Whether it may pass without a hand on the program: the connection or the server, not what was asked of it."""
    if isinstance(error, PoolTimeout | OperationalError | InterfaceError):
        return True
    return error.connection_invalidated or _state(error) in SERVER_STATES


def _passing(error: DBAPIError) -> bool:
    """Whether another writer was in the way (SQLite busy, PostgreSQL serialization failure or deadlock)."""
    if _state(error) in {"40001", "40P01", "55P03"}:
        return True
    return "database is locked" in str(error.orig) or "database table is locked" in str(error.orig)


def _is_overtaken(error: DBAPIError) -> bool:
    """Whether another writer inserted the same row between this one's look and its insert (PostgreSQL only)."""
    return _state(error) == "23505"


def _leave_standby(engine: Engine) -> None:
    """Drop the connections to a server that takes no writes any more: the next ones may lead to its successor."""

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True


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
        url = f"sqlite:///file:{path}?mode=ro&uri=true"
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseUnavailable(f"cannot create {path.parent}: {error}", hint="set VIDEVAL_HOME") from error
    overflow = 10 if read_only else 2
    engine = create_engine(
        url, json_serializer=_dumps, pool_size=pool_size, max_overflow=overflow, pool_timeout=POOL_TIMEOUT
    )
    _prepare_sqlite(engine, read_only=read_only)
    return engine


def _connect_args(url: URL, *, read_only: bool) -> dict[str, str]:
    """What libpq is told beside the URL, which has the last word."""
    asked = url.normalized_query
    options = [f"-c idle_in_transaction_session_timeout={FROZEN * 1000:.0f}", *asked.get("options", ())]
    if read_only:
        options.append("-c default_transaction_read_only=on")
    return {k: v for k, v in KEEPALIVE.items() if k not in asked} | {"options": " ".join(options)}


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
    engine = create_engine(
        url,
        json_serializer=_dumps,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=POOL_TIMEOUT,
        pool_pre_ping=True,
        connect_args=_connect_args(make_url(url), read_only=read_only),
    )
    if not read_only:
        _leave_standby(engine)
    return Database(engine, url=safe)
