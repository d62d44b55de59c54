"""What the broker is told: which requests to ring for, and which queues have work. Rows decide, messages only ring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, literal, or_, select, update

from videval.db import newer
from videval.db.records import run_config
from videval.db.session import db_now, dialect_insert
from videval.db.tables import ChoreRow, RequestRow, RunRow
from videval.errors import NewerRun
from videval.types import ModelSpec, RequestStatus, RunState

__all__ = [
    "KeyWork",
    "Ring",
    "due",
    "mark_published",
    "pending_of_run",
    "rings_for_others",
    "take_turn",
    "unring",
    "unring_for_others",
    "work",
]


UNFINISHED = (RequestStatus.QUEUED, RequestStatus.RUNNING)
COUNT_LIMIT = 1000
_NOT_LOOKED_AT = ("card", "missing")
"""Columns of a run that may be large."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """A message to send: this request, on its load key's queue, with its run's priority."""

    request_id: int
    load_key: str
    priority: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyWork:
    """One load key that has work: how to load it, how much, how urgent.

    `dtypes`: what each of its runs is fixed to, None where the first claim will decide. `newer`: its runs that only a
    newer videval can answer; where there are no others, `dtypes` is empty and `spec` no more than a name.
    """

    load_key: str
    spec: ModelSpec
    dtypes: tuple[str | None, ...]
    waiting: int
    running: int
    priority: int
    newer: tuple[NewerRun, ...] = ()


def pending_of_run(connection: Connection, run_id: int, *, after: int, limit: int) -> list[Ring]:
    """Requests of a run that nobody rang for yet, in order, from request id `after` on."""
    rows = connection.execute(
        select(RequestRow.id, RunRow.load_key, RunRow.priority)
        .join(RunRow, RunRow.id == RequestRow.run_id)
        .where(RequestRow.run_id == run_id, RequestRow.status == RequestStatus.QUEUED)
        .where(RequestRow.published_at.is_(None), RequestRow.id > after)
        .order_by(RequestRow.id)
        .limit(limit)
    )
    return [Ring(request_id=r.id, load_key=r.load_key, priority=r.priority) for r in rows]


def due(connection: Connection, load_key: str, *, patience: float, limit: int) -> list[Ring]:
    """The claimable requests of a load key that were rung for longest ago.

    Never rung for, or last rung for more than `patience` seconds ago, which doubles with each ring (64 times at most).
    """
    doubling = case({n: 2 ** max(0, n - 1) for n in range(7)}, value=RequestRow.published, else_=64)
    rows = connection.execute(
        select(RequestRow.id, RunRow.load_key, RunRow.priority)
        .join(RunRow, RunRow.id == RequestRow.run_id)
        .where(RunRow.load_key == load_key, RunRow.state == RunState.ACTIVE)
        .where(RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now())
        .where(or_(RequestRow.published_at.is_(None), RequestRow.published_at + patience * doubling <= db_now()))
        .order_by(RunRow.priority.desc(), RequestRow.published_at.asc().nulls_first(), RequestRow.id)
        .limit(limit)
    )
    return [Ring(request_id=r.id, load_key=r.load_key, priority=r.priority) for r in rows]


def mark_published(connection: Connection, request_ids: Sequence[int]) -> None:
    """Note that these requests were rung for just now."""
    connection.execute(
        update(RequestRow)
        .where(RequestRow.id.in_(list(request_ids)))
        .values(published_at=db_now(), published=RequestRow.published + 1)
    )


def _count(connection: Connection, *where: ColumnElement[bool]) -> int:
    some = select(literal(1)).select_from(RequestRow).where(*where).limit(COUNT_LIMIT).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def work(connection: Connection) -> list[KeyWork]:
    """Every load key of an active run that has requests to claim or running, most urgent first.

    Counts stop at COUNT_LIMIT: a million waiting requests must not cost more than a thousand.
    """
    runs = connection.execute(
        select(*(c for c in RunRow.__table__.c if c.name not in _NOT_LOOKED_AT))
        .where(RunRow.state == RunState.ACTIVE)
        .where(exists().where(RequestRow.run_id == RunRow.id, RequestRow.status.in_(UNFINISHED)))
        .order_by(RunRow.priority.desc(), RunRow.id)
    ).all()
    merged: dict[str, KeyWork] = {}
    for run in runs:
        of_run = RequestRow.run_id == run.id
        waiting = _count(
            connection, of_run, RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now()
        )
        running = _count(connection, of_run, RequestRow.status == RequestStatus.RUNNING)
        one = _work_of(run, waiting, running)
        merged[run.load_key] = _together(merged[run.load_key], one) if run.load_key in merged else one
    return list(merged.values())


def _work_of(run: Any, waiting: int, running: int) -> KeyWork:
    """The work of one run."""
    work = KeyWork(
        load_key=run.load_key,
        spec=ModelSpec(name=run.model, adapter="", checkpoint=""),
        dtypes=(),
        waiting=waiting,
        running=running,
        priority=run.priority,
    )
    try:
        return replace(work, spec=run_config(run).spec, dtypes=(run.dtype,))
    except NewerRun as error:
        return replace(work, newer=(error,))


def _together(one: KeyWork, other: KeyWork) -> KeyWork:
    return KeyWork(
        load_key=one.load_key,
        spec=one.spec if one.dtypes else other.spec,
        dtypes=one.dtypes + other.dtypes,
        waiting=one.waiting + other.waiting,
        running=one.running + other.running,
        priority=max(one.priority, other.priority),
        newer=one.newer + other.newer,
    )


def unring(connection: Connection, request_ids: Sequence[int]) -> None:
    """Forget that these requests were rung for: a worker heard the bell and could not come."""
    connection.execute(
        update(RequestRow)
        .where(RequestRow.id.in_(list(request_ids)), RequestRow.status == RequestStatus.QUEUED)
        .values(published_at=None, published=0)
    )


def _waits_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> ColumnElement[bool]:
    """`RunRow.dtype != dtype` is false of a run whose dtype is open."""
    is_newer = RunRow.id.in_(newer.known(connection))
    other = select(RunRow.id).where(or_(RunRow.load_key != load_key, RunRow.dtype != dtype, is_newer))
    is_waiting = RequestRow.status == RequestStatus.QUEUED
    return and_(RequestRow.id == request_id, is_waiting, RequestRow.run_id.in_(other))


def rings_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> bool:
    """Whether the bell of this request is for workers with another model, with another dtype of it, or newer ones."""
    waits = _waits_for_others(connection, request_id, load_key, dtype)
    return connection.execute(select(RequestRow.id).where(waits)).first() is not None


def unring_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> bool:
    """Forget the bell of a request that a worker with another model heard: those who have it must hear it again.
    Whether it was one."""
    waits = _waits_for_others(connection, request_id, load_key, dtype)
    return connection.execute(update(RequestRow).where(waits).values(published_at=None, published=0)).rowcount == 1


def take_turn(connection: Connection, chore: str, every: float) -> bool:
    """Whether this worker may do a chore now that is done once every `every` seconds by any of them."""
    statement = update(ChoreRow).where(ChoreRow.name == chore, ChoreRow.done_at <= db_now() - every)
    if connection.execute(statement.values(done_at=db_now())).rowcount == 1:
        return True
    known = connection.execute(select(ChoreRow.done_at).where(ChoreRow.name == chore)).scalar()
    if known is None:
        made = dialect_insert(connection.dialect.name, ChoreRow).values(name=chore, done_at=db_now())
        first = made.on_conflict_do_nothing().returning(ChoreRow.name)
        return connection.execute(first).scalar() is not None
    if known > connection.execute(select(db_now())).scalar_one() + every:  # the database's clock was set back
        connection.execute(update(ChoreRow).where(ChoreRow.name == chore).values(done_at=db_now()))
    return False
