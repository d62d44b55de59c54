"""What the broker is told: which requests to ring for, and which queues have work. Rows decide, messages only ring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Integer,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)

from videval.db.session import db_now
from videval.db.tables import RequestRow, RunRow, WorkerRow
from videval.db.workers import AT_WORK, seated
from videval.types import ModelSpec, RequestStatus, RunState

__all__ = [
    "KeyWork",
    "Look",
    "Ring",
    "due",
    "in_hand",
    "look",
    "mark_published",
    "pending_of_run",
    "rings_for_others",
    "unring",
    "unring_for_others",
    "waiting",
    "work",
]


UNFINISHED = (RequestStatus.QUEUED, RequestStatus.RUNNING)
COUNT_LIMIT = 1000
SOME_WAITING = (
    select(literal(1))
    .select_from(RequestRow)
    .join(RunRow, RunRow.id == RequestRow.run_id)
    .where(RunRow.load_key == bindparam("load_key"), RunRow.state == RunState.ACTIVE)
    .where(RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now())
    .limit(bindparam("at_most"))
    .subquery()
)
HOW_MANY_WAIT = select(func.count()).select_from(SOME_WAITING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """A message to send: this request, on its load key's queue, with its run's priority."""

    request_id: int
    load_key: str
    priority: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyWork:
    """One load key that has work: how to load it, how much, how urgent.

    `dtypes`: what each of its runs is fixed to, None where the first claim will decide.
    """

    load_key: str
    spec: ModelSpec
    dtypes: tuple[str | None, ...]
    waiting: int
    running: int
    priority: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a worker sees at a glance: how many workers are counted on, which load keys have work, and how many of the
    workers serve each of these."""

    num_seats: int
    work: tuple[KeyWork, ...]
    seats: Mapping[str, int]

    def of(self, load_key: str | None) -> KeyWork | None:
        """The work of a load key, None if it has none."""
        return next((w for w in self.work if w.load_key == load_key), None)


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


def _count(*where: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many requests of a row of `runs` are so; a million must not cost more than the first `most`."""
    some = select(literal(1)).where(RequestRow.run_id == RunRow.id, *where).limit(bindparam("most", type_=Integer))
    return select(func.count()).select_from(some.correlate(RunRow).subquery()).correlate(RunRow).scalar_subquery()


_OF_RUNS = (
    select(
        RunRow.id,
        RunRow.load_key,
        RunRow.spec,
        RunRow.dtype,
        RunRow.priority,
        _count(RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now()).label("waiting"),
        _count(RequestRow.status == RequestStatus.RUNNING).label("running"),
    )
    .where(RunRow.state == RunState.ACTIVE)
    .where(exists().where(RequestRow.run_id == RunRow.id, RequestRow.status.in_(UNFINISHED)))
)
_WORK = _OF_RUNS.order_by(RunRow.priority.desc(), RunRow.id)


def work(connection: Connection) -> list[KeyWork]:
    """Every load key of an active run that has requests to claim or running, most urgent first.

    Counts stop at COUNT_LIMIT.
    """
    return _merged(connection.execute(_WORK, {"most": COUNT_LIMIT}).all())


def _merged(runs: Sequence[Row[Any]]) -> list[KeyWork]:
    """The work of all runs with one load key together."""
    merged: dict[str, KeyWork] = {}
    for run in runs:
        known = merged.get(run.load_key)
        merged[run.load_key] = KeyWork(
            load_key=run.load_key,
            spec=ModelSpec.from_json(run.spec),
            dtypes=(*(known.dtypes if known else ()), run.dtype),
            waiting=run.waiting + (known.waiting if known else 0),
            running=run.running + (known.running if known else 0),
            priority=max(run.priority, known.priority if known else run.priority),
        )
    return list(merged.values())


def _looked_at() -> Select[Any]:
    """One row for each run with work, or one without a run: how many workers there are, and how many on its key."""
    on_key = select(WorkerRow.load_key, func.count().label("seats"))
    seats = on_key.where(*seated(bindparam("silent_s", type_=Float))).group_by(WorkerRow.load_key).cte("seats")
    crowd = select(func.coalesce(func.sum(seats.c.seats), 0).label("num_seats")).subquery("crowd")
    runs = _OF_RUNS.subquery("of_runs")
    rows = crowd.outerjoin(runs, true()).outerjoin(seats, seats.c.load_key == runs.c.load_key)
    query = select(crowd.c.num_seats, *runs.c, func.coalesce(seats.c.seats, 0).label("seats")).select_from(rows)
    return query.order_by(runs.c.priority.desc(), runs.c.id)


_LOOK = _looked_at()


def look(connection: Connection, *, silent_s: float, most: int = COUNT_LIMIT) -> Look:
    """What there is to do and who does it, in one statement: each worker asks this often. Counts stop at `most`;
    workers that were silent for `silent_s` seconds are not counted on."""
    rows = connection.execute(_LOOK, {"silent_s": silent_s, "most": most}).all()
    runs = [row for row in rows if row.id is not None]
    return Look(
        num_seats=int(rows[0].num_seats), work=tuple(_merged(runs)), seats={row.load_key: row.seats for row in runs}
    )


def in_hand(connection: Connection, load_key: str) -> dict[str, int]:
    """How many requests each worker on a load key has in hand, none for those that are idle; whoever is loading it
    or drains is left out."""
    running = (
        select(RequestRow.worker_id, func.count().label("held"))
        .join(RunRow, RunRow.id == RequestRow.run_id)
        .where(RunRow.load_key == load_key, RunRow.state == RunState.ACTIVE)
        .where(RequestRow.status == RequestStatus.RUNNING)
        .group_by(RequestRow.worker_id)
        .subquery()
    )
    rows = connection.execute(
        select(WorkerRow.id, func.coalesce(running.c.held, 0).label("held"))
        .outerjoin(running, running.c.worker_id == WorkerRow.id)
        .where(WorkerRow.load_key == load_key, WorkerRow.state.in_(AT_WORK))
    )
    return {row.id: row.held for row in rows}


def unring(connection: Connection, request_ids: Sequence[int]) -> None:
    """Forget that these requests were rung for: a worker heard the bell and could not come."""
    connection.execute(
        update(RequestRow)
        .where(RequestRow.id.in_(list(request_ids)), RequestRow.status == RequestStatus.QUEUED)
        .values(published_at=None, published=0)
    )


def waiting(connection: Connection, load_key: str, *, at_most: int) -> int:
    """How many requests of a load key could be claimed now; not counted further than `at_most`."""
    return connection.execute(HOW_MANY_WAIT, {"load_key": load_key, "at_most": at_most}).scalar_one()


def _waits_for_others(request_id: int, load_key: str, dtype: str) -> ColumnElement[bool]:
    """`RunRow.dtype != dtype` is false of a run whose dtype is open."""
    other = select(RunRow.id).where(or_(RunRow.load_key != load_key, RunRow.dtype != dtype))
    is_waiting = RequestRow.status == RequestStatus.QUEUED
    return and_(RequestRow.id == request_id, is_waiting, RequestRow.run_id.in_(other))


def rings_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> bool:
    """Whether the bell of this request is for workers with another model, or with another dtype of it."""
    waits = _waits_for_others(request_id, load_key, dtype)
    return connection.execute(select(RequestRow.id).where(waits)).first() is not None


def unring_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> bool:
    """Forget the bell of a request that a worker with another model heard: those who have it must hear it again.
    Whether it was one."""
    waits = _waits_for_others(request_id, load_key, dtype)
    return connection.execute(update(RequestRow).where(waits).values(published_at=None, published=0)).rowcount == 1
