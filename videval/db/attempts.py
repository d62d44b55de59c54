"""An attempt's hold on its request: the fence that knows who holds it, and the ways in which a hold ends.

The statements of a request's way are made once: making one costs more than running it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Float, bindparam, func, insert, or_, tuple_, update

from videval.db import sums
from videval.db.records import WorkerIdentity
from videval.db.session import Connection, db_now
from videval.db.tables import AttemptRow, RequestRow
from videval.errors import ErrorKind
from videval.types import AttemptOutcome, RequestStatus, Stage

__all__ = ["OWNED", "Pair", "begin", "count", "enter_stage", "fail", "finish", "is_race", "renew", "requeue"]

Pair = tuple[int, int]
"""(request id, attempt)."""
OWNED = (
    (RequestRow.id == bindparam("of_request"))
    & (RequestRow.attempt == bindparam("of_attempt"))
    & (RequestRow.status == RequestStatus.RUNNING)
)
"""The fence: the request is still running under this attempt."""
REQUEUE = (
    update(RequestRow)
    .where(OWNED)
    .values(
        status=RequestStatus.QUEUED,
        available_at=db_now() + bindparam("delay", type_=Float),
        published_at=None,
        published=0,
        lease_expires_at=None,
        worker_id=None,
        retries=RequestRow.retries + bindparam("more_retries"),
        strikes=RequestRow.strikes + bindparam("more_strikes"),
        alone=or_(RequestRow.alone, bindparam("be_alone", type_=Boolean)),
    )
)
FAIL = (
    update(RequestRow)
    .where(OWNED)
    .values(
        status=RequestStatus.FAILED,
        error_kind=bindparam("kind"),
        error=bindparam("message"),
        finished_at=db_now(),
        lease_expires_at=None,
        worker_id=None,
        strikes=RequestRow.strikes + bindparam("more_strikes"),
        alone=or_(RequestRow.alone, bindparam("be_alone", type_=Boolean)),
    )
    .returning(RequestRow.run_id)
)
ATTEMPT = (AttemptRow.request_id == bindparam("of_request")) & (AttemptRow.attempt == bindparam("of_attempt"))
BEGIN = insert(AttemptRow).values(
    stage=Stage.CLAIMED, outcome=AttemptOutcome.RUNNING, struck=False, started_at=db_now()
)
ENTER = (
    update(AttemptRow).where(ATTEMPT, AttemptRow.outcome == AttemptOutcome.RUNNING).values(stage=bindparam("entered"))
)
FINISH = (
    update(AttemptRow)
    .where(ATTEMPT)
    .values(
        outcome=bindparam("ended"),
        finished_at=db_now(),
        stage=func.coalesce(bindparam("last_stage"), AttemptRow.stage),
        struck=bindparam("is_struck"),
        error_kind=bindparam("kind"),
        error=bindparam("message"),
        traceback=bindparam("notes"),
    )
)
RENEW = (
    update(RequestRow)
    .where(tuple_(RequestRow.id, RequestRow.attempt).in_(bindparam("held", expanding=True)))
    .where(RequestRow.status == RequestStatus.RUNNING)
    .values(lease_expires_at=db_now() + bindparam("lease", type_=Float))
    .returning(RequestRow.id, RequestRow.attempt)
)


def is_race(pair: Pair) -> bool:
    """Whether it is a guest's, who holds nothing: there is no hold to end, only its row to close."""
    return pair[1] < 0


def begin(connection: Connection, held: Sequence[Pair], worker: WorkerIdentity) -> None:
    """Write down that a worker tries these requests."""
    who = {"worker_id": worker.id, "worker": worker.name, "environment": dict(worker.environment)}
    connection.execute(BEGIN, [{"request_id": request_id, "attempt": attempt, **who} for request_id, attempt in held])


def renew(connection: Connection, held: Sequence[Pair], lease: float) -> set[Pair]:
    """Extend the leases of what a worker holds; returns those that are no longer its own."""
    if not held:
        return set()
    rows = connection.execute(RENEW, {"held": list(held), "lease": lease})
    return set(held) - {(row.id, row.attempt) for row in rows}


def enter_stage(connection: Connection, held: Sequence[Pair], stage: Stage) -> None:
    """Note what attempts are doing from now on, so that a death is held against the right ones."""
    for request_id, attempt in held:
        connection.execute(ENTER, {"of_request": request_id, "of_attempt": attempt, "entered": stage})


def requeue(
    connection: Connection, pair: Pair, *, delay: float = 0.0, retries: int = 0, strikes: int = 0, alone: bool = False
) -> bool:
    """Let a request wait again, due in `delay` seconds; False if the fence refused it.

    `retries` and `strikes` are added to its own. `alone`: from now on it shares no batch.
    """
    more = {"delay": delay, "more_retries": retries, "more_strikes": strikes, "be_alone": alone}
    return connection.execute(REQUEUE, _of(pair) | more).rowcount == 1


def fail(
    connection: Connection, pair: Pair, kind: ErrorKind, message: str, *, strikes: int = 0, alone: bool = False
) -> bool:
    """End a request as failed; False if the fence refused it."""
    said = {"kind": kind, "message": message, "more_strikes": strikes, "be_alone": alone}
    run_id = connection.execute(FAIL, _of(pair) | said).scalar()
    if run_id is None:
        return False
    count(connection, run_id, {"failed": 1})
    return True


def finish(
    connection: Connection,
    pair: Pair,
    outcome: AttemptOutcome,
    *,
    stage: Stage | None = None,
    struck: bool = False,
    kind: ErrorKind | None = None,
    message: str | None = None,
    traceback: str | None = None,
) -> None:
    """Close the row of an attempt."""
    said = {"ended": outcome, "last_stage": stage, "is_struck": struck}
    error = {"kind": kind, "message": message, "notes": traceback}
    connection.execute(FINISH, _of(pair) | said | error)


def count(connection: Connection, run_id: int, more: Mapping[str, int]) -> None:
    """Add to how many requests of a run there are of a status, or in all (`total`)."""
    sums.add(connection, [(run_id, f"requests:{status}", amount) for status, amount in more.items()])


def _of(pair: Pair) -> dict[str, Any]:
    return {"of_request": pair[0], "of_attempt": pair[1]}
