"""The life of a request: claim, renew, complete, fail, strike, release, expire. Each is one transaction.

The taking is in `videval.db.claims`, the storing of an answer in `videval.db.results`.

`attempt` only grows and is the fencing token: whoever completes or fails a request must carry the attempt that
is still running. Strikes, not attempts, decide that a request is poison.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, tuple_, update

from videval.db.claims import claim, claim_as_it_was, claim_next, has_work, owned, requeued, samples_of_request, settle
from videval.db.session import db_now
from videval.db.tables import AttemptRow, RequestRow, RunRow, WorkerRow
from videval.errors import ErrorKind, RequestFailure
from videval.types import AttemptOutcome, RequestStatus, Stage

__all__ = [
    "ExpiredRequest",
    "claim",
    "claim_as_it_was",
    "claim_next",
    "enter_stage",
    "expire_leases",
    "expire_workers",
    "fail",
    "finish_attempt",
    "has_work",
    "owned",
    "release",
    "renew",
    "samples_of_request",
    "strike",
]

STRIKING_STAGES = (Stage.DECODE, Stage.GENERATE)
Held = tuple[int, int]
"""(request id, attempt)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredRequest:
    """A request whose worker was given up, and what became of it."""

    request_id: int
    attempt: int
    struck: bool
    status: RequestStatus


def renew(connection: Connection, held: Sequence[Held], lease: float) -> set[Held]:
    """Extend the leases of what a worker holds; returns those that are no longer its own."""
    if not held:
        return set()
    still = (
        update(RequestRow)
        .where(
            tuple_(RequestRow.id, RequestRow.attempt).in_(list(held)),
            RequestRow.status == RequestStatus.RUNNING,
        )
        .values(lease_expires_at=db_now() + lease)
        .returning(RequestRow.id, RequestRow.attempt)
    )
    return set(held) - {(row.id, row.attempt) for row in connection.execute(still)}


def enter_stage(connection: Connection, held: Sequence[Held], stage: Stage) -> None:
    """Note what attempts are doing from now on, so that a death is held against the right ones."""
    connection.execute(
        update(AttemptRow)
        .where(tuple_(AttemptRow.request_id, AttemptRow.attempt).in_(list(held)))
        .where(AttemptRow.outcome == AttemptOutcome.RUNNING)
        .values(stage=stage)
    )


def finish_attempt(
    connection: Connection, request_id: int, attempt: int, outcome: AttemptOutcome, **values: Any
) -> None:
    """Close the row of an attempt."""
    connection.execute(
        update(AttemptRow)
        .where(AttemptRow.request_id == request_id, AttemptRow.attempt == attempt)
        .values(outcome=outcome, finished_at=db_now(), **values)
    )


def _failed(kind: ErrorKind, message: str) -> dict[str, Any]:
    return {
        "status": RequestStatus.FAILED,
        "error_kind": kind,
        "error": message,
        "finished_at": db_now(),
    }


def fail(
    connection: Connection,
    request_id: int,
    attempt: int,
    error: RequestFailure,
    *,
    delay: float,
    max_retries: int,
    traceback: str = "",
) -> RequestStatus | None:
    """An attempt failed: a permanent failure ends the request, a passing one waits `delay` seconds for another try.

    Out of memory is tried once more, alone. Returns the request's new status, None if the fence refused.
    """
    row = connection.execute(
        select(RequestRow.retries, RequestRow.alone).where(owned(request_id, attempt))
    ).one_or_none()
    if row is None:
        return None
    spent = row.alone if error.kind == ErrorKind.OOM else row.retries >= max_retries
    if error.permanent or spent:
        values = _failed(error.kind, str(error))
        outcome, status = AttemptOutcome.FAILED, RequestStatus.FAILED
    else:
        values = requeued(delay) | {"retries": RequestRow.retries + 1}
        if error.kind == ErrorKind.OOM:
            values["alone"] = True
        outcome, status = AttemptOutcome.REQUEUED, RequestStatus.QUEUED
    if not settle(connection, request_id, attempt, values):
        return None
    finish_attempt(
        connection,
        request_id,
        attempt,
        outcome,
        error_kind=error.kind,
        error=str(error),
        traceback=traceback or None,
    )
    return status


def strike(connection: Connection, request_id: int, attempt: int, error: RequestFailure) -> RequestStatus | None:
    """The process that worked on this request died or hung under it: count it, and fail it when that is enough.

    From its first strike a request runs alone. Returns the new status, None if the fence refused.
    """
    row = connection.execute(
        select(RequestRow.strikes, RunRow.max_attempts)
        .join(RunRow, RunRow.id == RequestRow.run_id)
        .where(owned(request_id, attempt))
    ).one_or_none()
    if row is None:
        return None
    values, status = _struck(row, error.kind, str(error))
    if not settle(connection, request_id, attempt, values):
        return None
    outcome = AttemptOutcome.FAILED if status == RequestStatus.FAILED else AttemptOutcome.REQUEUED
    finish_attempt(connection, request_id, attempt, outcome, error_kind=error.kind, error=str(error), struck=True)
    return status


def _struck(row: Any, kind: ErrorKind, message: str) -> tuple[dict[str, Any], RequestStatus]:
    strikes = row.strikes + 1
    base = {"strikes": strikes, "alone": True}
    if strikes >= row.max_attempts:
        return base | _failed(kind, f"{message} ({strikes} times)"), RequestStatus.FAILED
    return base | requeued(), RequestStatus.QUEUED


def release(connection: Connection, held: Sequence[Held], *, delay: float = 0.0, alone: bool = False) -> int:
    """Give requests back, due in `delay` seconds; costs them nothing. `alone`: they run alone from now on.

    Returns how many were still held.
    """
    count = 0
    values = requeued(delay) | ({"alone": True} if alone else {})
    for request_id, attempt in held:
        if settle(connection, request_id, attempt, values):
            finish_attempt(connection, request_id, attempt, AttemptOutcome.RELEASED)
            count += 1
    return count


def expire_leases(connection: Connection) -> list[ExpiredRequest]:
    """Give up attempts whose lease has run out. Only reconcile does: it knows when leases prove nothing."""
    return _expire(connection, RequestRow.lease_expires_at < db_now())


def expire_workers(connection: Connection, worker_ids: Sequence[str]) -> list[ExpiredRequest]:
    """Give up all attempts of workers that are known to be dead, and mark them lost."""
    expired = _expire(connection, RequestRow.worker_id.in_(list(worker_ids)))
    connection.execute(
        update(WorkerRow)
        .where(WorkerRow.id.in_(list(worker_ids)), WorkerRow.state != "stopped")
        .values(state="lost", activity={})
    )
    return expired


def _expire(connection: Connection, *where: ColumnElement[bool]) -> list[ExpiredRequest]:
    rows = connection.execute(
        select(RequestRow.id, RequestRow.attempt, RequestRow.strikes, RunRow.max_attempts, AttemptRow.stage)
        .join(RunRow, RunRow.id == RequestRow.run_id)
        .outerjoin(AttemptRow, and_(AttemptRow.request_id == RequestRow.id, AttemptRow.attempt == RequestRow.attempt))
        .where(RequestRow.status == RequestStatus.RUNNING, *where)
        .order_by(RequestRow.id)
        .with_for_update(skip_locked=True, of=RequestRow)
    ).all()
    return [_give_up(connection, row) for row in rows]


def _give_up(connection: Connection, row: Any) -> ExpiredRequest:
    struck = row.stage in STRIKING_STAGES
    message = f"its worker died while it was in stage {row.stage}"
    values, status = _struck(row, ErrorKind.CRASH, message) if struck else (requeued(), RequestStatus.QUEUED)
    settle(connection, row.id, row.attempt, values)
    finish_attempt(
        connection,
        row.id,
        row.attempt,
        AttemptOutcome.LOST,
        struck=struck,
        error_kind=ErrorKind.CRASH if struck else None,
        error=message,
    )
    return ExpiredRequest(request_id=row.id, attempt=row.attempt, struck=struck, status=status)


def database_time(connection: Connection) -> float:
    """The database's clock, seconds since the epoch."""
    return connection.execute(select(db_now())).scalar_one()
