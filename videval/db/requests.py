"""The life of a request: claimed, renewed, failed, struck, released, given up. Each is one transaction.

The taking is in `videval.db.claims`, the storing of an answer in `videval.db.results`.

`attempt` only grows and is the fencing token: whoever completes or fails a request must carry the attempt that
is still running. Strikes, not attempts, decide that a request is poison.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import aliased

from videval.db import attempts, races, workers
from videval.db.attempts import Pair, enter_stage, renew
from videval.db.claims import claim, claim_as_it_was, has_work, samples_of_request, take
from videval.db.session import Connection, db_now
from videval.db.tables import AttemptRow, RequestRow, RunRow
from videval.errors import ErrorKind, RequestFailure
from videval.types import AttemptOutcome, RequestStatus, Stage

__all__ = [
    "ExpiredRequest",
    "Pair",
    "claim",
    "claim_as_it_was",
    "enter_stage",
    "expire_leases",
    "expire_workers",
    "fail",
    "has_work",
    "release",
    "renew",
    "samples_of_request",
    "strike",
    "take",
]

OF_OWNED = (
    select(RequestRow.retries, RequestRow.strikes, RequestRow.alone, RunRow.max_attempts)
    .join(RunRow, RunRow.id == RequestRow.run_id)
    .where(attempts.OWNED)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpiredRequest:
    """A request whose worker was given up, and what became of it."""

    request_id: int
    attempt: int
    struck: bool
    status: RequestStatus


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

    Out of memory is tried once more, alone. What would be right is stored with the message. Returns the request's new
    status, None if the fence refused.
    """
    said = f"{error} -> {error.hint}" if error.hint else str(error)
    pair, is_oom = (request_id, attempt), error.kind == ErrorKind.OOM
    row = _owned(connection, pair)
    if row is None:
        if attempts.is_race(pair):
            races.close(connection, pair, AttemptOutcome.FAILED, kind=error.kind, message=said)
        return None
    if error.permanent or (row.alone if is_oom else row.retries >= max_retries):
        outcome, status = AttemptOutcome.FAILED, RequestStatus.FAILED
        is_mine = attempts.fail(connection, pair, error.kind, said)
    else:
        outcome, status = AttemptOutcome.REQUEUED, RequestStatus.QUEUED
        is_mine = attempts.requeue(connection, pair, delay=delay, retries=1, alone=is_oom)
    if not is_mine:
        return None
    attempts.finish(connection, pair, outcome, kind=error.kind, message=said, traceback=traceback or None)
    return status


def strike(connection: Connection, request_id: int, attempt: int, error: RequestFailure) -> RequestStatus | None:
    """The process that worked on this request died or hung under it: count it, and fail it when that is enough.

    From its first strike a request runs alone. Returns the new status, None if the fence refused.
    """
    pair = (request_id, attempt)
    row = _owned(connection, pair)
    status = None if row is None else _struck(connection, pair, row, error.kind, str(error))
    if status is not None:
        outcome = AttemptOutcome.FAILED if status == RequestStatus.FAILED else AttemptOutcome.REQUEUED
        attempts.finish(connection, pair, outcome, struck=True, kind=error.kind, message=str(error))
    elif attempts.is_race(pair):
        races.close(connection, pair, AttemptOutcome.FAILED, kind=error.kind, message=str(error))
    return status


def _owned(connection: Connection, pair: Pair) -> Any:
    return connection.execute(OF_OWNED, {"of_request": pair[0], "of_attempt": pair[1]}).one_or_none()


def _struck(connection: Connection, pair: Pair, row: Any, kind: ErrorKind, message: str) -> RequestStatus | None:
    """The status of a request after one strike more; None if the fence refused."""
    strikes = row.strikes + 1
    if strikes >= row.max_attempts:
        said = f"{message} ({strikes} times)"
        is_mine = attempts.fail(connection, pair, kind, said, strikes=1, alone=True)
        return RequestStatus.FAILED if is_mine else None
    is_mine = attempts.requeue(connection, pair, strikes=1, alone=True)
    return RequestStatus.QUEUED if is_mine else None


def release(connection: Connection, held: Sequence[Pair], *, delay: float = 0.0, alone: bool = False) -> int:
    """Give requests back that were not worked on, or whose company died, due in `delay` seconds; costs them nothing.

    `alone`: from now on they share no batch. Returns how many were still held.
    """
    own = [pair for pair in held if not attempts.is_race(pair)]
    mine = [pair for pair in own if attempts.requeue(connection, pair, delay=delay, alone=alone)]
    for pair in mine:
        attempts.finish(connection, pair, AttemptOutcome.RELEASED)
    for pair in filter(attempts.is_race, held):
        races.close(connection, pair, AttemptOutcome.RELEASED)
    return len(mine)


def expire_leases(connection: Connection, *, lease: float = 0.0) -> list[ExpiredRequest]:
    """Give up attempts whose lease has run out. Only reconcile does: it knows when leases prove nothing.

    `lease`: how many seconds one lasts. What else its worker holds and has not renewed for half of that is given up
    with it, so that it is known who was in company; a worker that lives renews all that it holds three times a lease.
    """
    other = aliased(RequestRow)
    ran_out = select(other.worker_id).where(other.status == RequestStatus.RUNNING, other.lease_expires_at < db_now())
    return _expire(connection, RequestRow.lease_expires_at < db_now() + lease / 2, RequestRow.worker_id.in_(ran_out))


def expire_workers(connection: Connection, worker_ids: Sequence[str]) -> list[ExpiredRequest]:
    """Give up all attempts of workers that are known to be dead, and mark them lost."""
    expired = _expire(connection, RequestRow.worker_id.in_(list(worker_ids)))
    workers.lose(connection, worker_ids)
    return expired


def _expire(connection: Connection, *where: ColumnElement[bool]) -> list[ExpiredRequest]:
    of_attempt = and_(AttemptRow.request_id == RequestRow.id, AttemptRow.attempt == RequestRow.attempt)
    rows = connection.execute(
        select(RequestRow.id, RequestRow.attempt, RequestRow.worker_id, RequestRow.strikes)
        .add_columns(RunRow.max_attempts, AttemptRow.stage)
        .join(RunRow, RunRow.id == RequestRow.run_id)
        .outerjoin(AttemptRow, of_attempt)
        .where(RequestRow.status == RequestStatus.RUNNING, *where)
        .with_for_update(skip_locked=True, of=RequestRow)
    ).all()  # in no order: to have one, PostgreSQL would go through all requests, since it must not sort here
    generating = Counter(row.worker_id for row in rows if row.stage == Stage.GENERATE)
    in_order = sorted(rows, key=lambda row: row.id)
    return [_give_up(connection, row, company=generating[row.worker_id]) for row in in_order]


def _give_up(connection: Connection, row: Any, *, company: int) -> ExpiredRequest:
    """End an attempt whose worker is gone. `company`: how many of that worker's requests were being generated.

    Who was decoded, or was generated alone, is struck; of a company nobody knows who it was, so each runs alone next.
    """
    pair, message = (row.id, row.attempt), f"its worker died while it was in stage {row.stage}"
    in_company = row.stage == Stage.GENERATE and company > 1
    struck = row.stage in (Stage.DECODE, Stage.GENERATE) and not in_company
    status: RequestStatus | None = RequestStatus.QUEUED
    if struck:
        status = _struck(connection, pair, row, ErrorKind.CRASH, message)
    else:
        attempts.requeue(connection, pair, alone=in_company)
    kind = ErrorKind.CRASH if struck else None
    attempts.finish(connection, pair, AttemptOutcome.LOST, struck=struck, kind=kind, message=message)
    return ExpiredRequest(request_id=row.id, attempt=row.attempt, struck=struck, status=status or RequestStatus.QUEUED)
