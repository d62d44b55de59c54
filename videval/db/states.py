"""What a run wants, held still: for who decides by it what to do."""

from sqlalchemy import Connection, select

from videval.db.tables import RequestRow, RunRow
from videval.types import RequestStatus, RunState

__all__ = ["is_finished", "lock_state"]


def lock_state(connection: Connection, run_id: int) -> RunState:
    """What a run wants, and nobody changes that until this transaction ends (SQLite: writers take turns anyway)."""
    query = select(RunRow.state).where(RunRow.id == run_id).with_for_update()
    return RunState(connection.execute(query).scalar_one())


def is_finished(connection: Connection, run_id: int) -> bool:
    """Whether a run has requests, and none that is still to be answered."""
    of_run = select(RequestRow.id).where(RequestRow.run_id == run_id)
    open_ = of_run.where(RequestRow.status.in_([RequestStatus.QUEUED, RequestStatus.RUNNING]))
    return not connection.execute(open_.limit(1)).first() and bool(connection.execute(of_run.limit(1)).first())
