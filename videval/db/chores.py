"""Chores: what any worker may do and one does for all, in turns that are renewed.

Whoever does a chore knows when it was done last, to the last digit, since that is what it wrote: to write the next time
over it is to renew. Another one may do so when the time that it reads is long ago. So a chore needs no name of who does
it, and nobody writes who only looks.
"""

from sqlalchemy import Connection, select, update

from videval.db.session import db_now, dialect_insert
from videval.db.tables import ChoreRow

__all__ = ["last_done", "take"]


def last_done(connection: Connection, name: str) -> tuple[float | None, float]:
    """When a chore was done last, None if never; and the time now. Both by the database's clock."""
    when = select(ChoreRow.done_at).where(ChoreRow.name == name).scalar_subquery()
    row = connection.execute(select(when, db_now())).one()
    return row[0], row[1]


def take(connection: Connection, name: str, seen: float | None) -> float | None:
    """Do a chore from now on, if nobody did it since the time that was `seen`; returns the time to renew it by, None
    if somebody was quicker."""
    if seen is None:
        new = (
            dialect_insert(connection.dialect.name, ChoreRow)
            .values(name=name, done_at=db_now())
            .on_conflict_do_nothing()
        )
        return connection.execute(new.returning(ChoreRow.done_at)).scalar()
    again = update(ChoreRow).where(ChoreRow.name == name, ChoreRow.done_at == seen).values(done_at=db_now())
    return connection.execute(again.returning(ChoreRow.done_at)).scalar()
