"""Who holds a request: the claim that takes it, and the fence that knows its holder.

A bell means that there is work, and not which: a worker takes the request whose turn it is among all runs of its model.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Float,
    SQLColumnExpression,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from videval.db import newer
from videval.db.queue import unring
from videval.db.records import Claim, StoredSample, WorkerIdentity, run_config, sample_of
from videval.db.session import db_now
from videval.db.tables import AttemptRow, RequestRow, RequestSampleRow, RunRow, SampleRow
from videval.errors import NewerRun
from videval.types import AttemptOutcome, RequestStatus, RunState, Stage

__all__ = [
    "claim",
    "claim_as_it_was",
    "claim_next",
    "has_work",
    "owned",
    "requeued",
    "samples_of_request",
    "settle",
]

WAITS = and_(RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now())
"""The request may be claimed as far as it is concerned."""
FITS = and_(
    RunRow.state == RunState.ACTIVE,
    RunRow.load_key == bindparam("model_key"),
    or_(RunRow.dtype.is_(None), RunRow.dtype == bindparam("model_dtype")),
)
"""The run wants to be answered, by the model that a worker holds."""


def _next_of(run: SQLColumnExpression[int]) -> Any:
    """The waiting request of a run that was rung for longest ago: the order of the run, as its bells went out; those
    that nobody rang for yet come last.

    That is the order of an index: however many wait, one is read.
    """
    as_rung = RequestRow.published_at.asc().nulls_last()
    return select(RequestRow.id).where(RequestRow.run_id == run, WAITS).order_by(as_rung).limit(1)


RUNNING = (
    select(func.count())
    .where(RequestRow.run_id == RunRow.id, RequestRow.status == RequestStatus.RUNNING)
    .scalar_subquery()
)
ALL_TURNS = (
    select(RunRow.id)
    .where(FITS, _next_of(RunRow.id).scalar_subquery().is_not(None))
    .order_by(RunRow.priority.desc(), RUNNING, RunRow.id <= bindparam("after"), RunRow.id)
)
TURNS = ALL_TURNS.limit(2)
"""Whose turn it is, and who is next: the most urgent, of these the one with the fewest requests in work, of these the
one that comes after the run that was served last."""


def _taking(request: ColumnElement[bool]) -> Any:
    since = func.coalesce(RequestRow.published_at, RequestRow.created_at)
    due = case((RequestRow.available_at > since, RequestRow.available_at), else_=since)
    return (
        update(RequestRow)
        .where(request, WAITS, select(RunRow.id).where(RunRow.id == RequestRow.run_id, FITS).exists())
        .values(
            status=RequestStatus.RUNNING,
            attempt=RequestRow.attempt + 1,
            worker_id=bindparam("me"),
            lease_expires_at=db_now() + bindparam("lease", type_=Float),
        )
        .returning(
            RequestRow.id,
            RequestRow.run_id,
            RequestRow.key,
            RequestRow.attempt,
            RequestRow.alone,
            RequestRow.retries,
            RequestRow.published_at,
            (db_now() - due).label("queue_s"),
        )
    )


TAKE = _taking(RequestRow.id == bindparam("request"))
TAKE_NEXT = _taking(RequestRow.id == _next_of(bindparam("run")).with_for_update(skip_locked=True).scalar_subquery())
"""Two workers at once take two requests: PostgreSQL passes over rows that another one is taking, SQLite's writers take
turns."""


def claim(
    connection: Connection, request_id: int, worker: WorkerIdentity, *, lease: float, load_key: str, dtype: str
) -> Claim | None:
    """Take this request for this worker, or None if it is not to be had (done, taken, paused, not yet due).

    `lease` seconds. `load_key` and `dtype` are those of the model that this worker holds: a run of another model
    is not taken, nor one whose dtype is fixed to another one; one that has none yet is fixed to this.
    """
    who = {"model_key": load_key, "model_dtype": dtype, "me": worker.id, "lease": lease}
    row = connection.execute(TAKE, who | {"request": request_id}).one_or_none()
    return _taken(connection, row, worker, dtype)


def claim_next(
    connection: Connection,
    request_id: int,
    worker: WorkerIdentity,
    *,
    lease: float,
    load_key: str,
    dtype: str,
    after: int = 0,
) -> Claim | None:
    """Take the request whose turn it is, on hearing the bell of `request_id`; None if nothing is to be had.

    While one run has work, that is the request that rang, or else the run's next. While several have, each is served
    in its own order, by turns: `after` is the run that this worker served last. The rest is as for `claim`.
    """
    who = {"model_key": load_key, "model_dtype": dtype, "me": worker.id, "lease": lease}
    runs = _turns(connection, load_key, dtype, after)
    its_own = len(runs) == 1 and not newer.known(connection)
    row = connection.execute(TAKE, who | {"request": request_id}).one_or_none() if its_own else None
    for run_id in runs:
        row = row or connection.execute(TAKE_NEXT, who | {"run": run_id}).one_or_none()
    if row is not None and row.id != request_id and row.published_at is None:
        unring(connection, [request_id])  # what was taken had no bell of its own and used up this one
    return _taken(connection, row, worker, dtype)


def has_work(connection: Connection, load_key: str, dtype: str) -> bool:
    """Whether some run has a request to be claimed by a worker that holds this model."""
    return bool(_turns(connection, load_key, dtype, 0))


def _turns(connection: Connection, load_key: str, dtype: str, after: int) -> Sequence[int]:
    if connection.dialect.name == "postgresql":  # else it sorts all that waits, until its statistics know how much
        connection.exec_driver_sql("SET LOCAL enable_sort TO off")
    who = {"model_key": load_key, "model_dtype": dtype, "after": after}
    if left := newer.known(connection):
        return [run_id for run_id in connection.execute(ALL_TURNS, who).scalars() if run_id not in left][:2]
    return connection.execute(TURNS, who).scalars().all()


def _taken(connection: Connection, row: Any, worker: WorkerIdentity, dtype: str) -> Claim | None:
    """The claim of a row that was just taken."""
    if row is None:
        return None
    try:
        claim = _claim_of(connection, row, queue_s=max(0.0, row.queue_s))
    except NewerRun:
        newer.remember(connection, row.run_id)
        claim = None
    if claim is None or not _fix_dtype(connection, row.run_id, dtype):
        settle(connection, row.id, row.attempt, requeued())
        return None
    connection.execute(insert(AttemptRow).values(_new_attempt(row.id, row.attempt, worker)))
    return claim


def _fix_dtype(connection: Connection, run_id: int, dtype: str) -> bool:
    """Fix a run's dtype at its first claim; False if another worker fixed it to another one at the same moment."""
    open_ = update(RunRow).where(RunRow.id == run_id, RunRow.dtype.is_(None)).values(dtype=dtype)
    connection.execute(open_)
    return connection.execute(select(RunRow.dtype).where(RunRow.id == run_id)).scalar_one() == dtype


def _claim_of(connection: Connection, row: Any, *, queue_s: float) -> Claim:
    run = connection.execute(select(*RunRow.__table__.c).where(RunRow.id == row.run_id)).one()
    return Claim(
        request_id=row.id,
        attempt=row.attempt,
        alone=row.alone,
        packed=row.key.startswith("pack:"),
        retries=row.retries,
        queue_s=queue_s,
        run=run_config(run),
        samples=samples_of_request(connection, row.id),
    )


def claim_as_it_was(connection: Connection, request_id: int, attempt: int) -> Claim | None:
    """The claim of an attempt that nobody has succeeded, to store an answer that was kept on disk."""
    row = connection.execute(
        select(*RequestRow.__table__.c).where(RequestRow.id == request_id, RequestRow.attempt == attempt)
    ).one_or_none()
    return None if row is None else _claim_of(connection, row, queue_s=0.0)


def _new_attempt(request_id: int, attempt: int, worker: WorkerIdentity) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "attempt": attempt,
        "worker_id": worker.id,
        "worker": worker.name,
        "stage": Stage.CLAIMED,
        "outcome": AttemptOutcome.RUNNING,
        "struck": False,
        "started_at": db_now(),
        "environment": dict(worker.environment),
    }


def samples_of_request(connection: Connection, request_id: int) -> tuple[StoredSample, ...]:
    """The samples that a request asks about, in order."""
    rows = connection.execute(
        select(*SampleRow.__table__.c)
        .join(RequestSampleRow, RequestSampleRow.sample_id == SampleRow.id)
        .where(RequestSampleRow.request_id == request_id)
        .order_by(RequestSampleRow.position)
    )
    return tuple(StoredSample(row_id=row.id, sample=sample_of(row)) for row in rows)


def owned(request_id: int, attempt: int) -> ColumnElement[bool]:
    """The fence: the request is still running under this attempt."""
    return and_(
        RequestRow.id == request_id,
        RequestRow.attempt == attempt,
        RequestRow.status == RequestStatus.RUNNING,
    )


def settle(connection: Connection, request_id: int, attempt: int, values: dict[str, Any]) -> bool:
    """End an attempt's hold on its request; False if the fence refused it."""
    result: CursorResult[Any] = connection.execute(
        update(RequestRow).where(owned(request_id, attempt)).values(lease_expires_at=None, worker_id=None, **values)
    )
    return result.rowcount == 1


def requeued(delay: float = 0.0) -> dict[str, Any]:
    """What a row says of a request that waits again, due in `delay` seconds."""
    return {
        "status": RequestStatus.QUEUED,
        "available_at": db_now() + delay,
        "published_at": None,
        "published": 0,
    }
