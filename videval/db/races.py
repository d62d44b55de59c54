"""A race: at the end of a run an idle worker tries what another one has been at for long.

The second try is a guest: it has an attempt row whose number is never the request's own, so it holds nothing. Neither
its failure nor its death costs the request anything. Of two answers the first is stored, the other try is `repeated`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Float, and_, bindparam, func, or_, select, update
from sqlalchemy.orm import aliased

from videval.db import attempts
from videval.db.claims import FITS, claim_as_it_was
from videval.db.records import Claim, WorkerIdentity
from videval.db.session import db_now, dialect_insert
from videval.db.tables import AttemptRow, RequestRow, ResponseRow, RunRow, WorkerRow
from videval.errors import ErrorKind
from videval.types import AttemptOutcome, RequestStatus, Stage, WorkerState

__all__ = ["RACE", "allow", "close", "close_gone", "close_others", "has_straggler", "race", "win"]

RACE = -1
"""The number of a guest's attempt: a request is raced once, and of two idle workers one."""
LEAST = 5.0
"""Seconds after its claim before which no request takes long."""
TIMES = 2
"""It takes long when it takes so many times as long as the run's answers do."""
NEWEST = 200
"""Answers of a run that say how long one takes."""
TOOK = (
    select((ResponseRow.decode_s + ResponseRow.prepare_s + ResponseRow.wait_s + ResponseRow.generate_s).label("s"))
    .where(ResponseRow.run_id == bindparam("run"))
    .order_by(ResponseRow.created_at.desc())
    .limit(NEWEST)
    .subquery()
)
MEAN = select(func.avg(TOOK.c.s))
RACED = aliased(AttemptRow)
STRAGGLER = (
    select(RequestRow.id, RequestRow.attempt)
    .join(RunRow, RunRow.id == RequestRow.run_id)
    .join(AttemptRow, and_(AttemptRow.request_id == RequestRow.id, AttemptRow.attempt == RequestRow.attempt))
    .where(RequestRow.run_id == bindparam("run"), RunRow.race_tail, FITS)
    .where(RequestRow.status == RequestStatus.RUNNING, RequestRow.worker_id != bindparam("me"))
    .where(RequestRow.strikes == 0)  # it may be deadly: one worker at a time finds out
    .where(AttemptRow.stage == Stage.GENERATE)
    .where(AttemptRow.started_at < db_now() - bindparam("patience", type_=Float))
    .where(~select(RACED.id).where(RACED.request_id == RequestRow.id, RACED.attempt == RACE).exists())
    .order_by(AttemptRow.started_at)
    .limit(1)
)
STRAGGLER_TO_RACE = STRAGGLER.with_for_update(skip_locked=True, of=RequestRow)
UNANSWERED = (RequestStatus.RUNNING, RequestStatus.QUEUED)
IS_GUEST_THERE = (
    select(AttemptRow.id)
    .where(AttemptRow.request_id == RequestRow.id, AttemptRow.attempt == RACE)
    .where(AttemptRow.outcome == AttemptOutcome.RUNNING)
    .exists()
)
"""Else its request was answered or given up meanwhile, and may be asked anew."""
WIN = (
    update(RequestRow)
    .where(RequestRow.id == bindparam("request"), RequestRow.status.in_(UNANSWERED), IS_GUEST_THERE)
    .values(status=RequestStatus.DONE, lease_expires_at=None, error_kind=None, error=None, finished_at=db_now())
)
OPEN = and_(AttemptRow.request_id == bindparam("of_request"), AttemptRow.outcome == AttemptOutcome.RUNNING)
CLOSE = update(AttemptRow).values(
    outcome=bindparam("ended"), finished_at=db_now(), error_kind=bindparam("kind"), error=bindparam("message")
)
CLOSE_ONE = CLOSE.where(OPEN, AttemptRow.attempt == bindparam("of_attempt"))
CLOSE_OTHERS = CLOSE.where(OPEN, AttemptRow.attempt != bindparam("of_attempt"))
CLOSE_GONE = CLOSE.where(
    AttemptRow.attempt == RACE,
    AttemptRow.outcome == AttemptOutcome.RUNNING,
    AttemptRow.request_id.in_(
        select(RequestRow.id).where(
            RequestRow.run_id.in_(bindparam("runs", expanding=True)), RequestRow.status.in_(UNANSWERED)
        )
    ),
    AttemptRow.worker_id.in_(
        select(WorkerRow.id).where(
            or_(
                WorkerRow.state.in_((WorkerState.STOPPED, WorkerState.LOST)),
                WorkerRow.heartbeat_at < db_now() - bindparam("silent_s", type_=Float),
            )
        )
    ),
)


def allow(connection: Connection, run_id: int) -> None:
    """Have the requests of a run raced from now on."""
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(race_tail=True))


def has_straggler(
    connection: Connection, run_ids: Sequence[int], worker: WorkerIdentity, load_key: str, dtype: str
) -> bool:
    """Whether there is something to race for this worker, by a look that holds up no writer."""
    return any(_stragglers(connection, STRAGGLER, run_ids, worker, load_key, dtype))


def race(
    connection: Connection, run_ids: Sequence[int], worker: WorkerIdentity, load_key: str, dtype: str
) -> Claim | None:
    """Begin to try what another worker has been at for longest, as a guest; None if there is no such request.

    `load_key` and `dtype` as for `claims.claim`. A run without answers does not say what is long.
    """
    for row in _stragglers(connection, STRAGGLER_TO_RACE, run_ids, worker, load_key, dtype):
        if _begin(connection, row.id, worker):
            claim = claim_as_it_was(connection, row.id, row.attempt)
            return replace(claim, attempt=RACE) if claim else None
    return None


def _stragglers(
    connection: Connection, query: Any, run_ids: Sequence[int], worker: WorkerIdentity, load_key: str, dtype: str
) -> Iterator[Any]:
    """Of each run the request that takes longest, if one takes long."""
    of = {"me": worker.id, "model_key": load_key, "model_dtype": dtype}
    for run_id in run_ids:
        mean = connection.execute(MEAN, {"run": run_id}).scalar()
        if mean is not None:
            yield from connection.execute(query, of | {"run": run_id, "patience": max(LEAST, TIMES * mean)}).all()


def _begin(connection: Connection, request_id: int, worker: WorkerIdentity) -> bool:
    """Write down that a guest tries it; False if another one was quicker."""
    begun = dialect_insert(connection.dialect.name, AttemptRow).values(
        request_id=request_id,
        attempt=RACE,
        worker_id=worker.id,
        worker=worker.name,
        environment=dict(worker.environment),
        stage=Stage.CLAIMED,
        outcome=AttemptOutcome.RUNNING,
        struck=False,
        started_at=db_now(),
    )
    once = begun.on_conflict_do_nothing(index_elements=["request_id", "attempt"]).returning(AttemptRow.id)
    return connection.execute(once).scalar() is not None


def win(connection: Connection, run_id: int, request_id: int) -> bool:
    """Make the request of a guest that has an answer done, whoever holds it; False if it is answered or given up."""
    is_first = connection.execute(WIN, {"request": request_id}).rowcount == 1
    if is_first:
        attempts.count(connection, run_id, {"done": 1})
    return is_first


def close(
    connection: Connection,
    pair: tuple[int, int],
    outcome: AttemptOutcome,
    *,
    kind: ErrorKind | None = None,
    message: str | None = None,
) -> None:
    """Close the row of an attempt if it is open; nothing becomes of its request."""
    of = {"of_request": pair[0], "of_attempt": pair[1]}
    connection.execute(CLOSE_ONE, of | {"ended": outcome, "kind": kind, "message": message})


def close_others(connection: Connection, pair: tuple[int, int]) -> None:
    """An attempt has answered: whoever else is still at its request does so in vain."""
    of = {"of_request": pair[0], "of_attempt": pair[1]}
    connection.execute(CLOSE_OTHERS, of | {"ended": AttemptOutcome.REPEATED, "kind": None, "message": None})


def close_gone(connection: Connection, run_ids: Sequence[int], *, silent_s: float) -> None:
    """Close the rows of guests at what is unanswered in these runs, if their workers have ended or were silent for
    `silent_s` seconds."""
    said = {"ended": AttemptOutcome.LOST, "kind": None, "message": "its worker is gone"}
    connection.execute(CLOSE_GONE, said | {"runs": list(run_ids), "silent_s": silent_s})
