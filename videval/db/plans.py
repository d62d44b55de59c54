"""The requests of a run: made in chunks that are visible at once, and put back in the queue when people ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, insert, or_, select, update

from videval.db import attempts
from videval.db.session import db_now
from videval.db.tables import PredictionRow, RequestRow, RequestSampleRow, RunRow, SampleRow
from videval.errors import ErrorKind
from videval.types import PredictionState, RequestStatus, RunState

__all__ = ["RequestPlan", "add_requests", "reopen", "reopen_cancelled", "retry", "unanswered_samples"]

_NOT_HELD = (PredictionState.ABSENT, PredictionState.UNPARSABLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestPlan:
    """A request to be made: its key within the run, its video, the row ids of its samples."""

    key: str
    position: int
    video: str
    sample_row_ids: tuple[int, ...]


def add_requests(connection: Connection, run_id: int, plans: Sequence[RequestPlan]) -> int:
    """Insert requests that the run does not have yet; returns how many were new."""
    wanted = [p.key for p in plans]
    known = set(
        connection.execute(
            select(RequestRow.key).where(RequestRow.run_id == run_id, RequestRow.key.in_(wanted))
        ).scalars()
    )
    new = [p for p in plans if p.key not in known]
    if not new:
        return 0
    statement = insert(RequestRow).values(created_at=db_now()).returning(RequestRow.id, RequestRow.key)
    made = connection.execute(statement, [_new_request(run_id, p) for p in new])
    ids = {row.key: row.id for row in made}
    links = [
        {"request_id": ids[p.key], "position": i, "sample_id": sample_id}
        for p in new
        for i, sample_id in enumerate(p.sample_row_ids)
    ]
    connection.execute(insert(RequestSampleRow), links)
    attempts.count(connection, run_id, {"total": len(new)})
    return len(new)


def _new_request(run_id: int, plan: RequestPlan) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "key": plan.key,
        "position": plan.position,
        "video": plan.video,
        "status": RequestStatus.QUEUED,
        "attempt": 0,
        "strikes": 0,
        "retries": 0,
        "alone": False,
        "available_at": 0.0,
        "published": 0,
    }


REOPENED = {
    "status": RequestStatus.QUEUED,
    "strikes": 0,
    "retries": 0,
    "begun": False,
    "available_at": 0.0,
    "published_at": None,
    "published": 0,
    "error_kind": None,
    "error": None,
    "finished_at": None,
}


def _reopen(connection: Connection, run_id: int, statuses: Sequence[RequestStatus], *where: ColumnElement[bool]) -> int:
    """Put requests of these statuses back in the queue; returns how many."""
    changes = {}
    for status in statuses:
        mine = (RequestRow.run_id == run_id) & (RequestRow.status == status)
        changes[status.value] = -connection.execute(update(RequestRow).where(mine, *where).values(REOPENED)).rowcount
    attempts.count(connection, run_id, changes)
    return -sum(changes.values())


def retry(connection: Connection, run_id: int, *, kinds: Sequence[ErrorKind] = (), indexes: Sequence[str] = ()) -> int:
    """Put failed (and cancelled) requests back in the queue with no strikes; returns how many.

    Narrowed by error kinds and by sample ids. Attempts are never reset. A cancelled run becomes active again.
    """
    states = [RequestStatus.FAILED] if kinds or indexes else [RequestStatus.FAILED, RequestStatus.CANCELLED]
    where: list[ColumnElement[bool]] = []
    if kinds:
        where.append(RequestRow.error_kind.in_(list(kinds)))
    if indexes:
        asked = exists().where(
            RequestSampleRow.request_id == RequestRow.id,
            RequestSampleRow.sample_id == SampleRow.id,
            SampleRow.key.in_(list(indexes)),
        )
        where.append(asked)
    count = _reopen(connection, run_id, states, *where)
    if count:
        revived = RunRow.state == RunState.CANCELLED
        connection.execute(update(RunRow).where(RunRow.id == run_id, revived).values(state=RunState.ACTIVE))
    return count


def unanswered_samples(connection: Connection, run_id: int) -> list[tuple[int, str, str]]:
    """(row id, sample id, video) of the samples that a pack's response did not hold, or whose pack was refused."""
    others = exists().where(RequestSampleRow.request_id == PredictionRow.request_id, RequestSampleRow.position > 0)
    in_refused_pack = (PredictionRow.state == PredictionState.REFUSED) & others
    rows = connection.execute(
        select(SampleRow.id, SampleRow.key, SampleRow.video)
        .join(PredictionRow, PredictionRow.sample_id == SampleRow.id)
        .where(PredictionRow.run_id == run_id)
        .where(or_(PredictionRow.state.in_(_NOT_HELD), in_refused_pack))
        .order_by(SampleRow.position)
    )
    return [(row.id, row.key, row.video) for row in rows]


def reopen(connection: Connection, run_id: int, keys: Sequence[str]) -> int:
    """Put requests with these keys back in the queue, whatever they said before; returns how many."""
    ended = (RequestStatus.DONE, RequestStatus.FAILED, RequestStatus.CANCELLED)
    return _reopen(connection, run_id, ended, RequestRow.key.in_(list(keys)))


def reopen_cancelled(connection: Connection, run_id: int) -> int:
    """Put cancelled requests back in the queue; returns how many."""
    return _reopen(connection, run_id, [RequestStatus.CANCELLED])
