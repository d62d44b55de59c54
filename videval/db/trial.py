"""Does to the database what commands and workers will do to it, and takes it back: what they would meet is raised."""

from contextlib import suppress

from sqlalchemy import Column, Integer, MetaData, Table, Text, delete, false, insert, select, text, update

from videval.db.session import Connection, Database
from videval.db.tables import Base
from videval.errors import DatabaseUnavailable

__all__ = ["try_writing"]

SCRATCH = Table("videval_doctor", MetaData(), Column("id", Integer, primary_key=True), Column("said", Text))
NOT_OURS_TO_COUNT = text(
    "SELECT min(relname) FROM pg_class WHERE relkind = 'S' AND pg_table_is_visible(oid)"
    " AND relname LIKE :pattern AND NOT has_sequence_privilege(oid, 'USAGE')"
)


class _TakenBack(Exception):
    """Ends the transaction of a trial."""


def try_writing(database: Database, *, has_tables: bool) -> None:
    """Make and fill a table, or, if the tables are there, write to each of them; nothing of it stays.

    Raises DatabaseUnavailable or StatementRefused, as whoever writes would.
    """

    def trial(connection: Connection) -> None:
        if has_tables:
            _touch_tables(connection)
        else:
            SCRATCH.create(connection)
            connection.execute(insert(SCRATCH).values(said="naïve ✓ 漢字 🎬"))
        raise _TakenBack

    with suppress(_TakenBack):
        database.write(trial)


def _touch_tables(connection: Connection) -> None:
    """Rights are checked although no row is touched."""
    for table in Base.metadata.sorted_tables:
        first = next(iter(table.columns))
        connection.execute(insert(table).from_select(list(table.columns), select(table).where(false())))
        connection.execute(update(table).where(false()).values({first: first}))
        connection.execute(delete(table).where(false()))
        if connection.dialect.name == "postgresql":
            _count_rows_of(connection, table.name)


def _count_rows_of(connection: Connection, table: str) -> None:
    """The numbers of new rows come from sequences, which have rights of their own."""
    if refused := connection.execute(NOT_OURS_TO_COUNT, {"pattern": f"{table}\\_%"}).scalar():
        raise DatabaseUnavailable(
            f"permission denied for sequence {refused}", hint="GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO the role"
        )
