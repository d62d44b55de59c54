"""The run that a name means; all that a command which only looks needs of runs."""

from videval.db import runs as rows
from videval.db.records import RunInfo
from videval.db.session import Database
from videval.errors import UnknownName, UsageError

__all__ = ["find"]


def find(database: Database, name: str) -> RunInfo:
    """The run called `name`, or the only one whose name starts so. UnknownName, or UsageError if several do."""
    with database.read() as connection:
        found = rows.find_run(connection, name)
        known = [] if found else [run.name for run in rows.list_runs(connection)]
    if not found:
        raise UnknownName("run", name, known)
    if len(found) > 1:
        names = "\n".join(f"  {r.name}" for r in found[:10])
        raise UsageError(f"{len(found)} runs start with {name!r}:\n{names}", hint="give more of the name")
    return found[0]
