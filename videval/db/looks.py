"""A worker's look: what there is to do and who does it, so cheap that a thousand workers can afford it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Float, Select, bindparam, func, select, true

from videval.db.queue import COUNT_LIMIT, RUNS_WITH_WORK, KeyWork, merged
from videval.db.tables import RequestRow, RunRow, WorkerRow
from videval.db.workers import AT_WORK, seated
from videval.types import RequestStatus, RunState

__all__ = ["Look", "in_hand", "look"]


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


def _looked_at() -> Select[Any]:
    """One row for each run with work, or one without a run: how many workers there are, and how many on its key."""
    on_key = select(WorkerRow.load_key, func.count().label("seats"))
    seats = on_key.where(*seated(bindparam("silent_s", type_=Float))).group_by(WorkerRow.load_key).cte("seats")
    crowd = select(func.coalesce(func.sum(seats.c.seats), 0).label("num_seats")).subquery("crowd")
    runs = RUNS_WITH_WORK.subquery("of_runs")
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
        num_seats=int(rows[0].num_seats), work=tuple(merged(runs)), seats={row.load_key: row.seats for row in runs}
    )


def in_hand(connection: Connection, load_key: str, *, silent_s: float) -> dict[str, int]:
    """How many requests each worker on a load key has in hand, none for those that are idle; whoever is loading it,
    drains or was silent for `silent_s` seconds is left out."""
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
        .where(WorkerRow.load_key == load_key, WorkerRow.state.in_(AT_WORK), *seated(silent_s))
    )
    return {row.id: row.held for row in rows}
