"""Opens the database, and the one way to write to it: a transaction that takes its lock first and is tried again."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy import URL, Connection, Engine, Executable, Float, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from videval.db.address import database_address, shown
from videval.db.connect import postgresql_engine, sqlite_engine
from videval.db.reasons import code, explain
from videval.errors import DatabaseUnavailable, VidevalError
from videval.settings import Settings

__all__ = ["Connection", "Database", "db_now", "dialect_insert", "open_database", "upsert"]

log = logging.getLogger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE = 60.0
"""Seconds that a write waits for a connection and for other writers before it gives up."""
OVERTAKEN_TIMES = 20


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


class Database:
    """A pool of connections with `read` and `write`; every query is a function of `videval.db` that takes one."""

    def __init__(self, engine: Engine, *, url: URL) -> None:
        self.engine = engine
        self._address = url
        self.url = shown(url)
        """The URL without its password, for messages."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries; DatabaseUnavailable if there is none, StatementRefused for a bad query."""
        try:
            with self._connect(time.monotonic() + PATIENCE) as connection:
                yield connection.execution_options(videval_begin="DEFERRED")
        except DBAPIError as error:
            raise self._explained(error) from error

    def write(
        self, work: Callable[[Connection, *Ts], T], *args: *Ts, patience: float = PATIENCE, durable: bool = True
    ) -> T:
        """Run `work(connection, *args)` in one transaction and return its result, again if another writer was in the
        way.

        `work` may run several times: it must do nothing but SQL. What is not `durable` may be lost when PostgreSQL
        itself crashes in the next second, and is not waited for to reach the disk. Raises DatabaseUnavailable when
        the database is gone or takes no writes, or when it is still locked or no connection is free after `patience`
        seconds; StatementRefused for an error in `work`'s own SQL.
        """
        deadline = time.monotonic() + patience
        pause, overtaken = 0.005, 0
        while True:
            try:
                with self._connect(deadline) as connection, connection.begin():
                    if not durable and self.dialect == "postgresql":
                        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
                    return work(connection, *args)
            except DBAPIError as error:
                overtaken += _is_overtaken(error)
                passing = overtaken < OVERTAKEN_TIMES if _is_overtaken(error) else _passing(error)
                if not passing or time.monotonic() > deadline:
                    raise self._explained(error) from error
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
            except PoolTimeout as error:
                if time.monotonic() > deadline:
                    message = f"database {self.url}: all connections of this process are in use"
                    hint = "the database is slow, or waits for a lock: see its log"
                    raise DatabaseUnavailable(message, hint=hint) from error

    def _explained(self, error: DBAPIError) -> VidevalError:
        log.info("the database says", exc_info=error)
        return explain(error, self._address)


def _passing(error: DBAPIError) -> bool:
    """Whether another writer was in the way (SQLite busy, PostgreSQL serialization failure or deadlock)."""
    if code(error) in {"40001", "40P01", "55P03"}:
        return True
    return "database is locked" in str(error.orig) or "database table is locked" in str(error.orig)


def _is_overtaken(error: DBAPIError) -> bool:
    """Whether another writer inserted the same row between this one's look and its insert (PostgreSQL only)."""
    return code(error) == "23505"


def upsert(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]], *, keys: Sequence[str]) -> None:
    """Insert rows, replacing those with the same keys."""
    if not rows:
        return
    now = tuple(c for c, value in rows[0].items() if isinstance(value, db_now))
    given = tuple(c for c in rows[0] if c not in now)
    statement = _upsert(connection.dialect.name, table, given, now, tuple(keys))
    connection.execute(statement, [{c: row[c] for c in given} for row in rows])


@cache
def _upsert(
    dialect_name: str, table: Any, given: tuple[str, ...], now: tuple[str, ...], keys: tuple[str, ...]
) -> Executable:
    """The statement, made once for each shape of row: making it costs more than running it."""
    values: dict[str, Any] = {c: bindparam(c) for c in given} | {c: db_now() for c in now}
    statement = dialect_insert(dialect_name, table).values(values)
    replaced = {c: statement.excluded[c] for c in values if c not in keys}
    made: Executable = statement.on_conflict_do_update(index_elements=list(keys), set_=replaced)
    return made


def dialect_insert(dialect_name: str, table: Any) -> Any:
    """An insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    dialect = import_module(f"sqlalchemy.dialects.{dialect_name}")  # only writers wait for it
    return dialect.insert(table)


def open_database(settings: Settings, *, read_only: bool = False, pool_size: int = 2) -> Database:
    """Open the database of these settings; nothing is created but SQLite's own folder.

    `read_only`: SQLite in `mode=ro`, PostgreSQL in read-only transactions.
    """
    file = str(settings.home_path / "videval.db")
    url = URL.create("sqlite", database=file) if settings.is_embedded_database else database_address(settings.database)
    make = sqlite_engine if url.get_backend_name() == "sqlite" else postgresql_engine
    return Database(make(url, read_only=read_only, pool_size=pool_size), url=url)
