"""Workers: who lives where, what each does now, and who must be dead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, update
from sqlalchemy.orm import aliased

from videval.db.records import WorkerIdentity
from videval.db.session import db_now, upsert
from videval.db.tables import WorkerRow
from videval.types import WorkerState

__all__ = [
    "AT_WORK",
    "LIVE_STATES",
    "Pulse",
    "SeatInfo",
    "WorkerInfo",
    "beat",
    "beside",
    "list_workers",
    "live_workers",
    "lock_seats",
    "lose",
    "predecessors",
    "refuse",
    "register",
    "seated",
    "seats",
    "stop",
    "take_seat",
]

AT_WORK = (WorkerState.IDLE, WorkerState.BUSY, WorkerState.PASSING)
"""The states of a worker that has a model and may claim."""
COUNTED_ON = (*AT_WORK, WorkerState.STARTING, WorkerState.LOADING)
LIVE_STATES = (*COUNTED_ON, WorkerState.DRAINING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """What a worker says of itself with each heartbeat."""

    state: WorkerState
    model: str | None = None
    loads: int = 0
    activity: Mapping[str, Any]
    rss_mb: float = 0.0
    busy_s: float = 0.0
    done: int = 0
    failed: int = 0
    refused: int = 0
    message: str | None = None
    refuses: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatInfo:
    """What the dispatchers of other workers must know of one: `served_s` since it began to serve its load key,
    `refuses` the load keys that it cannot or must not serve now."""

    id: str
    device: str
    load_key: str | None
    served_s: float
    refuses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerInfo:
    """A worker as people see it; `age_s` since its start, `silent_s` since its last heartbeat, `served_s` since it
    began to serve its load key, `succeeded_s` since a later worker took its device, None if none did (database
    clock). One that is lost or silent and has a successor is no trouble any more.
    """

    id: str
    name: str
    host: str
    lock_domain: str
    pid: int
    device: str
    device_name: str
    state: str
    model: str | None
    load_key: str | None
    loads: int
    activity: Mapping[str, Any]
    rss_mb: float
    busy_s: float
    done: int
    failed: int
    refused: int
    message: str | None
    age_s: float
    silent_s: float
    served_s: float
    succeeded_s: float | None

    @property
    def loading_s(self) -> float | None:
        """Seconds since it began to load its model; None if it loads none."""
        return self.served_s if self.state == WorkerState.LOADING else None


def register(connection: Connection, worker: WorkerIdentity) -> None:
    """Say that a worker has begun."""
    known = ("id", "name", "host", "lock_domain", "pid", "device", "device_name")
    row = {k: getattr(worker, k) for k in known}
    row |= {"state": WorkerState.STARTING, "loads": 0, "activity": {}, "rss_mb": 0.0, "busy_s": 0.0}
    row |= {"done": 0, "failed": 0, "refused": 0, "refuses": [], "started_at": db_now(), "heartbeat_at": db_now()}
    upsert(connection, WorkerRow, [row], keys=["id"])


def beat(connection: Connection, worker_id: str, pulse: Pulse) -> None:
    """Say that a worker lives, and what it does."""
    values = {name: getattr(pulse, name) for name in Pulse.__dataclass_fields__}
    values |= {"activity": dict(pulse.activity), "refuses": list(pulse.refuses)}
    connection.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(heartbeat_at=db_now(), **values))


def lock_seats(connection: Connection) -> bool:
    """Whether no other worker changes its seat until the end of this transaction; False if one is about to, which is
    not waited for: it may be frozen (SQLite: writers take turns anyway)."""
    if connection.dialect.name == "postgresql":
        return bool(connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(7239513)").scalar())
    return True


def take_seat(connection: Connection, worker_id: str, load_key: str | None, *, loads: bool = False) -> None:
    """Say which load key a worker serves from now on, so that the others reckon with it before it has loaded; `loads`:
    it is about to load it."""
    values = {"load_key": load_key, "serving_since": db_now()} | ({"state": WorkerState.LOADING} if loads else {})
    connection.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(values))


def stop(connection: Connection, worker_id: str, message: str | None = None) -> None:
    """Say that a worker ended on its own."""
    connection.execute(
        update(WorkerRow)
        .where(WorkerRow.id == worker_id)
        .values(state=WorkerState.STOPPED, activity={}, message=message)
    )


def lose(connection: Connection, worker_ids: Sequence[str]) -> None:
    """Say that workers are known to be dead, but those that ended on their own."""
    dead = (WorkerRow.id.in_(list(worker_ids))) & (WorkerRow.state != WorkerState.STOPPED)
    connection.execute(update(WorkerRow).where(dead).values(state=WorkerState.LOST, activity={}))


def predecessors(connection: Connection, worker: WorkerIdentity) -> list[str]:
    """Ids of earlier workers on this worker's device, which are dead since it holds the device's lock."""
    return _ids(connection, worker.lock_domain, [worker.device], besides=worker.id)


def _ids(connection: Connection, lock_domain: str, devices: Sequence[str], *, besides: str) -> list[str]:
    rows = connection.execute(
        select(WorkerRow.id).where(
            WorkerRow.lock_domain == lock_domain,
            WorkerRow.device.in_(list(devices)),
            WorkerRow.state.in_([*LIVE_STATES, WorkerState.LOST]),
            WorkerRow.id != besides,
        )
    )
    return list(rows.scalars())


def _successor_began() -> Any:
    """When the next worker on the same device began that is not lost itself: the device's lock says that its
    predecessors were gone then. After a machine is started anew the lock domain is another one, and the host the
    same."""
    later = aliased(WorkerRow)
    return (
        select(func.min(later.started_at))
        .where(later.device == WorkerRow.device, later.started_at > WorkerRow.started_at)
        .where(later.state != WorkerState.LOST)
        .where(or_(later.lock_domain == WorkerRow.lock_domain, later.host == WorkerRow.host))
        .scalar_subquery()
    )


def _infos(connection: Connection, *where: Any) -> list[WorkerInfo]:
    age = (db_now() - WorkerRow.started_at).label("age_s")
    silent = (db_now() - WorkerRow.heartbeat_at).label("silent_s")
    served = func.coalesce(db_now() - WorkerRow.serving_since, 0.0).label("served_s")
    succeeded = (db_now() - _successor_began()).label("succeeded_s")
    rows = connection.execute(
        select(*WorkerRow.__table__.c, age, silent, served, succeeded)
        .where(*where)
        .order_by(WorkerRow.host, WorkerRow.name)
    )
    return [WorkerInfo(**{f: getattr(r, f) for f in WorkerInfo.__dataclass_fields__}) for r in rows]


def seats(connection: Connection, *, silent_s: float) -> list[SeatInfo]:
    """All that a worker must know of every one that is counted on to choose what it serves."""
    served = func.coalesce(db_now() - WorkerRow.serving_since, 0.0).label("served_s")
    rows = connection.execute(
        select(WorkerRow.id, WorkerRow.device, WorkerRow.load_key, served, WorkerRow.refuses).where(*seated(silent_s))
    )
    return [
        SeatInfo(id=r.id, device=r.device, load_key=r.load_key, served_s=r.served_s, refuses=tuple(r.refuses))
        for r in rows
    ]


def seated(silent_s: ColumnElement[float] | float) -> tuple[ColumnElement[bool], ...]:
    """Which workers are counted on: those that live, are not draining and gave a sign within `silent_s` seconds."""
    return WorkerRow.state.in_(COUNTED_ON), WorkerRow.heartbeat_at > db_now() - silent_s


def beside(connection: Connection, worker: WorkerIdentity) -> dict[str, str]:
    """The device of each other worker, by its id, that said it lives in this worker's lock domain."""
    near = WorkerRow.lock_domain == worker.lock_domain
    rows = connection.execute(
        select(WorkerRow.id, WorkerRow.device).where(near, WorkerRow.state.in_(LIVE_STATES), WorkerRow.id != worker.id)
    )
    return {row.id: row.device for row in rows}


def refuse(connection: Connection, worker_id: str, load_keys: Sequence[str]) -> None:
    """Say which load keys a worker does not serve, so that the others reckon without it there."""
    connection.execute(update(WorkerRow).where(WorkerRow.id == worker_id).values(refuses=list(load_keys)))


def live_workers(connection: Connection) -> list[WorkerInfo]:
    """Workers that said they live and have not stopped; some may be silent."""
    return _infos(connection, WorkerRow.state.in_(LIVE_STATES))


def list_workers(connection: Connection, *, recent_s: float = 86400.0) -> list[WorkerInfo]:
    """Live workers, and those that ended within the last `recent_s` seconds."""
    recent = WorkerRow.heartbeat_at > db_now() - recent_s
    return _infos(connection, recent | WorkerRow.state.in_(LIVE_STATES))
