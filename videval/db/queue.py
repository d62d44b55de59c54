"""What the broker is told: which requests to ring for, and which queues have work. Rows decide, messages only ring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    exists,
    func,
    literal,
    or_,
    select,
    update,
)

from videval.db import newer
from videval.db.connect import in_index_order
from videval.db.records import run_config
from videval.db.session import db_now
from videval.db.tables import RequestRow, RunRow
from videval.errors import NewerRun
from videval.types import ModelSpec, RequestStatus, RunState

__all__ = [
    "RUNS_WITH_WORK",
    "KeyWork",
    "Ring",
    "due",
    "line_up",
    "mark_published",
    "merged",
    "never_rung",
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

    `dtypes`: what each of its runs is fixed to, None where the first claim will decide. `races`: its runs whose
    requests may be raced. `newer`: its runs that only a newer videval can answer; where there are no others, `dtypes`
    is empty and `spec` no more than a name.
    """

    load_key: str
    spec: ModelSpec
    dtypes: tuple[str | None, ...]
    waiting: int
    running: int
    priority: int
    races: tuple[int, ...] = ()
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


RUNS_OF_KEY = (
    select(RunRow.id, RunRow.priority)
    .where(RunRow.load_key == bindparam("model_key"), RunRow.state == RunState.ACTIVE)
    .order_by(RunRow.priority.desc(), RunRow.id)
)
WAITING = (
    select(RequestRow.id, RequestRow.published_at, RequestRow.published)
    .where(RequestRow.run_id == bindparam("run"), RequestRow.status == RequestStatus.QUEUED)
    .where(RequestRow.available_at <= db_now())
    .limit(bindparam("most"))
)
NEVER_RUNG = WAITING.where(RequestRow.published_at.is_(None)).order_by(RequestRow.published_at)
RUNG = (
    WAITING.add_columns((db_now() - RequestRow.published_at).label("age"))
    .where(RequestRow.published_at <= db_now() - bindparam("patience", type_=Float))
    .order_by(RequestRow.published_at)
)
LONGEST_LOOK = 10_000
"""Requests of a run that are looked at, in the order of an index, for those that may be rung for again."""


def due(connection: Connection, load_key: str, *, patience: float, limit: int) -> list[Ring]:
    """The claimable requests of a load key that were rung for longest ago, those of the most urgent runs first.

    Never rung for, or last rung for more than `patience` seconds ago, which doubles with each ring (64 times at most).
    No more is read than LONGEST_LOOK requests of a run, however many wait.
    """
    in_index_order(connection)
    found: list[tuple[int, float, int]] = []
    for run_id, priority in connection.execute(RUNS_OF_KEY, {"model_key": load_key}).all():
        if len(found) >= limit and priority < -found[-1][0]:
            break
        of = {"run": run_id, "most": limit, "patience": patience}
        found += [(-priority, 0.0, r.id) for r in connection.execute(NEVER_RUNG, of)]
        found += [
            (-priority, r.published_at, r.id)
            for r in connection.execute(RUNG, of | {"most": LONGEST_LOOK})
            if r.age >= patience * 2 ** min(max(r.published - 1, 0), 6)
        ]
    return [Ring(request_id=id_, load_key=load_key, priority=-urgent) for urgent, _, id_ in sorted(found)[:limit]]


def never_rung(connection: Connection, load_key: str, *, limit: int) -> list[Ring]:
    """Claimable requests of a load key that nobody rang for yet, those of the most urgent runs first, in order."""
    in_index_order(connection)
    found: list[Ring] = []
    for run_id, priority in connection.execute(RUNS_OF_KEY, {"model_key": load_key}).all():
        rows = connection.execute(NEVER_RUNG, {"run": run_id, "most": limit - len(found)})
        found += [Ring(request_id=row.id, load_key=load_key, priority=priority) for row in rows]
        if len(found) >= limit:
            break
    return found


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


RUNS_WITH_WORK: Select[Any] = (
    select(
        *(c for c in RunRow.__table__.c if c.name not in _NOT_LOOKED_AT),
        _count(RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now()).label("waiting"),
        _count(RequestRow.status == RequestStatus.RUNNING).label("running"),
    )
    .where(RunRow.state == RunState.ACTIVE)
    .where(exists().where(RequestRow.run_id == RunRow.id, RequestRow.status.in_(UNFINISHED)))
)
_WORK = RUNS_WITH_WORK.order_by(RunRow.priority.desc(), RunRow.id)


def work(connection: Connection) -> list[KeyWork]:
    """Every load key of an active run that has requests to claim or running, most urgent first.

    Counts stop at COUNT_LIMIT.
    """
    return merged(connection.execute(_WORK, {"most": COUNT_LIMIT}).all())


def merged(runs: Sequence[Row[Any]]) -> list[KeyWork]:
    """The work of all runs with one load key together."""
    found: dict[str, KeyWork] = {}
    for run in runs:
        one = _work_of(run)
        found[run.load_key] = _together(found[run.load_key], one) if run.load_key in found else one
    return list(found.values())


def _work_of(run: Row[Any]) -> KeyWork:
    """The work of one run."""
    work = KeyWork(
        load_key=run.load_key,
        spec=ModelSpec(name=run.model, adapter="", checkpoint=""),
        dtypes=(),
        waiting=run.waiting,
        running=run.running,
        priority=run.priority,
    )
    try:
        races = (run.id,) if run.race_tail else ()
        return replace(work, spec=run_config(run).spec, dtypes=(run.dtype,), races=races)
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
        races=one.races + other.races,
        newer=one.newer + other.newer,
    )


def line_up(connection: Connection, run_id: int) -> None:
    """Give the requests of a run that nobody has tried yet the order in which they stand, as ringing would; what comes
    back later stands behind them."""
    new = and_(RequestRow.run_id == run_id, RequestRow.status == RequestStatus.QUEUED, RequestRow.attempt == 0)
    unheard = and_(new, RequestRow.published_at.is_(None))
    connection.execute(update(RequestRow).where(unheard).values(published_at=db_now(), published=1))


def unring(connection: Connection, request_ids: Sequence[int]) -> None:
    """Forget that these requests were rung for: a worker heard the bell and could not come."""
    rung = and_(RequestRow.id.in_(list(request_ids)), RequestRow.status == RequestStatus.QUEUED)
    free = select(RequestRow.id).where(rung).with_for_update(skip_locked=True)  # who is being taken needs no bell
    connection.execute(update(RequestRow).where(RequestRow.id.in_(free)).values(published_at=None, published=0))


def waiting(connection: Connection, load_key: str, *, at_most: int) -> int:
    """How many requests of a load key could be claimed now; not counted further than `at_most`."""
    return connection.execute(HOW_MANY_WAIT, {"load_key": load_key, "at_most": at_most}).scalar_one()


_FOR_OTHERS = select(RequestRow.id).where(
    RequestRow.id == bindparam("request"),
    RequestRow.status == RequestStatus.QUEUED,
    RequestRow.run_id.in_(
        select(RunRow.id).where(
            or_(
                RunRow.load_key != bindparam("model_key"),
                RunRow.dtype != bindparam("model_dtype"),  # false of a run whose dtype is open
                RunRow.id.in_(bindparam("newer", expanding=True)),
            )
        )
    ),
)


def rings_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> bool:
    """Whether the bell of this request is for workers with another model, with another dtype of it, or newer ones."""
    model = {"model_key": load_key, "model_dtype": dtype, "newer": list(newer.known(connection))}
    return connection.execute(_FOR_OTHERS, model | {"request": request_id}).first() is not None


def unring_for_others(connection: Connection, request_id: int, load_key: str, dtype: str) -> bool:
    """Forget the bell of a request that a worker with another model heard: those who have it must hear it again.
    Whether it was one."""
    if not rings_for_others(connection, request_id, load_key, dtype):
        return False
    unring(connection, [request_id])
    return True
