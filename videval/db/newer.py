"""Runs that a newer videval made and this one cannot read: known to a process once it met one, and passed over then."""

from sqlalchemy import Connection

__all__ = ["known", "remember"]

_KNOWN: dict[str, frozenset[int]] = {}
"""The ids of such runs by database; a run never changes, and a worker that is upgraded is another process."""


def known(connection: Connection) -> frozenset[int]:
    """The ids of the runs that are left to newer workers."""
    return _KNOWN.get(str(connection.engine.url), frozenset())


def remember(connection: Connection, run_id: int) -> None:
    """Pass over this run from now on."""
    _KNOWN[str(connection.engine.url)] = known(connection) | {run_id}
