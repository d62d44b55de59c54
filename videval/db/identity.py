"""The id of a database: by it the queues of two fleets on one Redis are told apart, whatever URLs lead to it.

It is a random number that lies among the chores, since those have a name and a number: older databases need no
migration, and whoever comes first makes it.
"""

import secrets

from sqlalchemy import Connection, select

from videval.db.session import Database, dialect_insert
from videval.db.tables import ChoreRow

__all__ = ["database_id", "known_id"]

NAME = "database id"
BITS = 48
"""A double holds such a number exactly."""


def known_id(connection: Connection) -> str | None:
    """The id, for those who only look; None if nobody has needed it yet."""
    number = connection.execute(select(ChoreRow.done_at).where(ChoreRow.name == NAME)).scalar()
    return None if number is None else f"{int(number):0{BITS // 4}x}"


def database_id(database: Database) -> str:
    """The id, made if there is none."""
    with database.read() as connection:
        known = known_id(connection)
    return known or database.write(_made)


def _made(connection: Connection) -> str:
    """Of several who make it at once the first one wins."""
    number = float(secrets.randbits(BITS))
    insert = dialect_insert(connection.dialect.name, ChoreRow)
    connection.execute(insert.values(name=NAME, done_at=number).on_conflict_do_nothing())
    return known_id(connection) or ""
