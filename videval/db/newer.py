"""Runs that a newer videval made and this one cannot read: known to a process once it met one, and passed over then."""

from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

__all__ = ["known", "remember"]

_KNOWN: WeakKeyDictionary[Engine, frozenset[int]] = WeakKeyDictionary()
"""The ids of such runs by database; a run never changes, and a worker that is upgraded is another process."""


def known(connection: Connection) -> frozenset[int]:
    """The ids of the runs that are left to newer workers."""
    return _KNOWN.get(connection.engine, frozenset())


def remember(connection: Connection, run_id: int) -> None:
    """Pass over this run from now on."""
    _KNOWN[connection.engine] = known(connection) | {run_id}
