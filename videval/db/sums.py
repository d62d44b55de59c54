"""Sums kept for each run, so that a look at a run of a million requests costs what a look at a small one does.

A change is a row of its own, appended in the transaction that made it: no worker waits for another one's. Whoever
reconciles folds them into one row for each run and name; what is read is the sum of both.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import Connection, Executable, delete, func, insert, select, union_all

from videval.db.session import dialect_insert
from videval.db.tables import SumChangeRow, SumRow

__all__ = ["add", "fold", "of_run", "of_runs"]

APPEND = insert(SumChangeRow)
MOST = 10_000
"""Changes that are folded in one transaction."""


def add(connection: Connection, changes: Iterable[tuple[int, str, float]]) -> None:
    """Add amounts to sums, each as (run id, name, amount); those of one name are one row."""
    merged: dict[tuple[int, str], float] = defaultdict(float)
    for run_id, name, amount in changes:
        merged[run_id, name] += amount
    rows = [{"run_id": run_id, "name": name, "amount": amount} for (run_id, name), amount in merged.items() if amount]
    if rows:
        connection.execute(APPEND, rows)


def of_run(connection: Connection, run_id: int, *, prefix: str = "") -> dict[str, float]:
    """The sums of a run by name; of the names that begin with `prefix`."""
    return of_runs(connection, [run_id], prefix=prefix).get(run_id, {})


def of_runs(
    connection: Connection, run_ids: Sequence[int] | None = None, *, prefix: str = ""
) -> dict[int, dict[str, float]]:
    """The sums of several runs, of all if `run_ids` is None, by run id and name."""
    parts = []
    for table in (SumRow, SumChangeRow):
        part = select(table.run_id, table.name, table.amount)
        if run_ids is not None:
            part = part.where(table.run_id.in_(list(run_ids)))
        parts.append(part.where(func.substr(table.name, 1, len(prefix)) == prefix) if prefix else part)
    both = union_all(*parts).subquery()
    query = select(both.c.run_id, both.c.name, func.sum(both.c.amount)).group_by(both.c.run_id, both.c.name)
    found: dict[int, dict[str, float]] = {}
    for run_id, name, amount in connection.execute(query):
        found.setdefault(run_id, {})[name] = amount
    return found


def fold(connection: Connection) -> int:
    """Make the oldest changes part of their sums; returns how many they were."""
    oldest = select(SumChangeRow.id).order_by(SumChangeRow.id).limit(MOST).with_for_update(skip_locked=True)
    gone = delete(SumChangeRow).where(SumChangeRow.id.in_(oldest))
    rows = connection.execute(gone.returning(SumChangeRow.run_id, SumChangeRow.name, SumChangeRow.amount)).all()
    merged: dict[tuple[int, str], float] = defaultdict(float)
    for run_id, name, amount in rows:
        merged[run_id, name] += amount
    if rows:
        sums = [{"run_id": run_id, "name": name, "amount": merged[run_id, name]} for run_id, name in sorted(merged)]
        connection.execute(_adding(connection.dialect.name), sums)
    return len(rows)


@cache
def _adding(dialect_name: str) -> Executable:
    statement = dialect_insert(dialect_name, SumRow)
    more = {"amount": SumRow.amount + statement.excluded.amount}
    made: Executable = statement.on_conflict_do_update(index_elements=["run_id", "name"], set_=more)
    return made
