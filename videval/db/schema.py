"""Brings the schema to this version of videval, and says clearly when it is older or newer.

Alembic is imported when a schema is changed only: every command looks at the version, and it takes long to import.
"""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from videval.db.session import Database
from videval.errors import SchemaMismatch, UsageError

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["HEAD", "check", "current", "downgrade", "ensure_schema", "head", "upgrade"]

HEAD = "0011"
"""The newest of `migrations/versions` (a test compares)."""


def _migrations() -> Path:
    return Path(str(files("migrations")))


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def head() -> str:
    """The schema version of this videval."""
    return HEAD


def current(database: Database) -> str | None:
    """The schema version of the database; None if it is empty."""
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(select(column("version_num")).select_from(table("alembic_version"))).scalar()


def _known(revision: str) -> bool:
    return any(path.name.startswith(f"{revision}_") for path in (_migrations() / "versions").glob("*.py"))


def _refuse_newer(database: Database, version: str | None) -> None:
    if version is not None and not _known(version):
        raise SchemaMismatch(
            f"database {database.url} has schema {version}, which is newer than this videval's ({head()})",
            hint="pip install --upgrade videval",
        )


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`; safe to call from several processes at once."""
    from alembic import command

    _refuse_newer(database, current(database))
    _run(database, command.upgrade, revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back to `revision`; "base" drops everything. UsageError if that is no earlier one."""
    from alembic import command
    from alembic.util import CommandError

    try:
        _run(database, command.downgrade, revision)
    except CommandError as error:
        known = sorted(path.name.split("_")[0] for path in (_migrations() / "versions").glob("[0-9]*.py"))
        hint = f"one of base, {', '.join(known)}, and older than what `videval db status` says"
        raise UsageError(f"the schema cannot be taken back to {revision!r}: {error}", hint=hint) from error


def _run(database: Database, step: Callable[["Config", str], None], revision: str) -> None:
    config = _config()

    def migrate(connection: Connection) -> None:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7239512)")
        config.attributes["connection"] = connection
        step(config, revision)

    database.write(migrate)


def check(database: Database) -> None:
    """Raise SchemaMismatch unless the schema is this videval's."""
    version = current(database)
    _refuse_newer(database, version)
    if version != head():
        state = "empty" if version is None else f"at schema {version}, older than {head()}"
        raise SchemaMismatch(f"database {database.url} is {state}", hint="videval db upgrade")


def ensure_schema(database: Database) -> None:
    """Make the tables of an empty database; SchemaMismatch if it has those of another version."""
    if current(database) is None:
        upgrade(database)
    check(database)
