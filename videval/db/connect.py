"""How each kind of database is connected to: SQLite in a file of a local disk, PostgreSQL by psycopg.

PostgreSQL may lie behind pgbouncer with `pool_mode = transaction`: nothing is asked for at start-up, nothing is
prepared, and what is set is set for one transaction. A transaction begins with one message that says all of that.
"""

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event

from videval.db.address import shown
from videval.db.reasons import READ_ONLY
from videval.errors import DatabaseUnavailable, EnvironmentProblem
from videval.paths import expanded

__all__ = [
    "HASTY",
    "READING",
    "WRITING",
    "in_index_order",
    "postgresql_engine",
    "refuse_network_file_system",
    "sqlite_engine",
]

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.juicefs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "pvfs2"}
)
_JSON = json.JSONEncoder(allow_nan=False)
POOL_TIMEOUT = 1.0
"""Seconds that one look for a free connection takes; whoever finds none looks again while its patience lasts."""
BUSY = 30.0
"""Seconds that SQLite itself waits for another writer, who may stand in no line: a shell, or one that was stopped."""
READING, WRITING, HASTY = "reading", "writing", "hasty"
"""What a transaction is for; one that is hasty is not waited for to reach the disk. Where something is written
PostgreSQL does not sort: it would sort all that waits to find the next, until its statistics know how much that is."""
NO_SORT = "SET LOCAL enable_sort TO off"
FROZEN = 120.0
"""Seconds after which PostgreSQL ends the transaction of a process that stands still or whose host is gone."""
KEEPALIVE = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""What libpq is told, so that a host that vanished is noticed in 25 s; nothing of it matters on a unix socket."""


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def _dumps(value: Any) -> str:
    """JSON that PostgreSQL takes too: a NaN becomes the text "nan"."""
    try:
        return _JSON.encode(value)
    except ValueError:
        return _JSON.encode(_finite(value))


def _mounts() -> list[tuple[str, str]]:
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [(f[4].replace("\\040", " "), f[f.index("-") + 1]) for f in fields if "-" in f]


def refuse_network_file_system(folder: Path, mounts: list[tuple[str, str]] | None = None) -> None:
    """Raise EnvironmentProblem if `folder` lies on a network file system, where SQLite loses data."""
    path = expanded(folder).absolute()
    above = [(m, t) for m, t in (_mounts() if mounts is None else mounts) if path.is_relative_to(m)]
    mount, kind = max(above, key=lambda pair: len(pair[0]), default=("/", ""))
    if kind in NETWORK_FILE_SYSTEMS:
        raise EnvironmentProblem(
            f"{folder} is on a network file system ({kind} at {mount}), where SQLite loses data",
            hint="export VIDEVAL_HOME=/var/tmp/videval-$USER   (or VIDEVAL_DATABASE_URL=postgresql+psycopg://...)",
        )


def sqlite_engine(url: URL, *, read_only: bool, pool_size: int) -> Engine:
    """SQLite with a write-ahead log; its folder is made if it is not there."""
    path = Path(url.database or "")
    refuse_network_file_system(path.parent)
    if read_only:
        url = url.set(database=f"file:{quote(str(path))}").update_query_dict({"mode": "ro", "uri": "true"})
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


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY * 1000:.0f}", "foreign_keys=ON", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        mode = READING if read_only else options.get("videval_begin", WRITING)
        patience = min(max(options.get("videval_patience", BUSY), 0.0), BUSY)
        connection.connection.cursor().execute(f"PRAGMA busy_timeout={patience * 1000:.0f}")
        connection.exec_driver_sql("BEGIN" if mode == READING else "BEGIN IMMEDIATE")


def _connect_args(url: URL) -> dict[str, Any]:
    """What psycopg and libpq are told beside the URL, which has the last word on what it says."""
    told = {k: v for k, v in KEEPALIVE.items() if k not in url.query}
    return told | {"client_encoding": "utf8", "prepare_threshold": None}


def postgresql_engine(url: URL, *, read_only: bool, pool_size: int) -> Engine:
    """PostgreSQL; nothing is connected to yet."""
    engine = create_engine(
        url,
        json_serializer=_dumps,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=POOL_TIMEOUT,
        connect_args=_connect_args(url),
        isolation_level="AUTOCOMMIT",  # the driver would send a BEGIN of its own
    )
    _prepare_postgresql(engine, read_only=read_only)
    if not read_only:
        _leave_standby(engine)
    return engine


def _prepare_postgresql(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise DatabaseUnavailable(
                f"database {shown(engine.url)} has ENCODING {encoding!r}: UTF8 is needed",
                hint="CREATE DATABASE videval ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0",
            )

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("videval_begin", WRITING)
        begin = ["BEGIN READ ONLY" if read_only else "BEGIN"]
        begin += [f"SET LOCAL idle_in_transaction_session_timeout = {FROZEN * 1000:.0f}"]
        if mode != READING:
            begin += [NO_SORT]
        if mode == HASTY:
            begin += ["SET LOCAL synchronous_commit TO OFF"]
        connection.exec_driver_sql("; ".join(begin))


def in_index_order(connection: Connection) -> None:
    """Until the end of this transaction PostgreSQL does not sort, as in every one that writes."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(NO_SORT)


def _leave_standby(engine: Engine) -> None:
    """Drop the connections to a server that takes no writes any more: the next ones may lead to its successor."""

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True
