"""Runs: created in chunks that are visible at once, found by name or prefix, counted, paused, retried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, insert, select, update

from videval.db.records import RunInfo, run_info
from videval.db.session import db_now
from videval.db.tables import (
    AttemptRow,
    PredictionRow,
    RequestRow,
    RequestSampleRow,
    RunRow,
    SampleRow,
    SnapshotRow,
)
from videval.errors import ErrorKind
from videval.plain import plain
from videval.types import (
    AttemptOutcome,
    FrameSampling,
    GenerationSettings,
    ModelSpec,
    PredictionState,
    PromptSet,
    RequestStatus,
    RunState,
)

__all__ = [
    "Counts",
    "NewRun",
    "RequestPlan",
    "add_requests",
    "cancel",
    "counts",
    "counts_of_runs",
    "create_run",
    "failures_by_kind",
    "find_copies",
    "find_run",
    "list_runs",
    "request_keys",
    "retry",
    "set_state",
    "unanswered_samples",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """All that is stored of a run when it is created."""

    name: str
    key: str
    copy: int
    snapshot_id: int
    benchmark: str
    variant: str
    spec: ModelSpec
    load_key: str
    sampling: FrameSampling
    generation: GenerationSettings
    pack: bool
    subtitles: bool
    form: str
    scorer: str
    data_root: str
    max_pixels: int | None
    max_attempts: int
    priority: int
    limit: int | None
    missing: tuple[str, ...]
    card: Mapping[str, Any]
    prompts: PromptSet = PromptSet.PAPER
    protocol: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestPlan:
    """A request to be made: its key within the run, its video, the row ids of its samples."""

    key: str
    position: int
    video: str
    sample_row_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many requests of a run stand where."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All requests of the run."""
        return self.queued + self.running + self.done + self.failed + self.cancelled

    @property
    def waiting(self) -> int:
        """Requests that are still to be answered."""
        return self.queued + self.running

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.waiting == 0 and self.total > 0


def find_copies(connection: Connection, key: str) -> list[RunInfo]:
    """All runs with this run key, oldest first."""
    return [run_info(r) for r in connection.execute(_runs().where(RunRow.key == key).order_by(RunRow.copy))]


def create_run(connection: Connection, new: NewRun) -> int:
    """Insert a run in state `creating`; returns its id."""
    values = {name: getattr(new, name) for name in NewRun.__dataclass_fields__}
    for name in ("spec", "sampling", "generation"):
        values[name] = plain(values[name])
    values |= {
        "model": new.spec.name,
        "missing": list(new.missing),
        "card": dict(new.card),
    }
    values |= {"state": RunState.CREATING, "created_at": db_now()}
    return connection.execute(insert(RunRow).values(values).returning(RunRow.id)).scalar_one()


def request_keys(connection: Connection, run_id: int) -> set[str]:
    """The keys of the requests that a run has."""
    return set(connection.execute(select(RequestRow.key).where(RequestRow.run_id == run_id)).scalars())


def add_requests(connection: Connection, run_id: int, plans: Sequence[RequestPlan]) -> int:
    """Insert requests that the run does not have yet; returns how many were new."""
    wanted = [p.key for p in plans]
    known = set(
        connection.execute(
            select(RequestRow.key).where(RequestRow.run_id == run_id, RequestRow.key.in_(wanted))
        ).scalars()
    )
    new = [p for p in plans if p.key not in known]
    if not new:
        return 0
    statement = insert(RequestRow).values(created_at=db_now()).returning(RequestRow.id, RequestRow.key)
    made = connection.execute(statement, [_new_request(run_id, p) for p in new])
    ids = {row.key: row.id for row in made}
    links = [
        {"request_id": ids[p.key], "position": i, "sample_id": sample_id}
        for p in new
        for i, sample_id in enumerate(p.sample_row_ids)
    ]
    connection.execute(insert(RequestSampleRow), links)
    return len(new)


def _new_request(run_id: int, plan: RequestPlan) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "key": plan.key,
        "position": plan.position,
        "video": plan.video,
        "status": RequestStatus.QUEUED,
        "attempt": 0,
        "strikes": 0,
        "retries": 0,
        "alone": False,
        "available_at": 0.0,
        "published": 0,
    }


def _runs() -> Select[Any]:
    return select(*RunRow.__table__.c, SnapshotRow.num_samples, SnapshotRow.columns).join(
        SnapshotRow, SnapshotRow.id == RunRow.snapshot_id
    )


def list_runs(connection: Connection) -> list[RunInfo]:
    """All runs, newest first."""
    return [run_info(row) for row in connection.execute(_runs().order_by(RunRow.id.desc()))]


def find_run(connection: Connection, name: str) -> list[RunInfo]:
    """The run of this name, else all runs whose name starts with it, newest first."""
    exact = connection.execute(_runs().where(RunRow.name == name)).one_or_none()
    if exact is not None:
        return [run_info(exact)]
    prefix = func.substr(RunRow.name, 1, len(name)) == name
    return [run_info(row) for row in connection.execute(_runs().where(prefix).order_by(RunRow.id.desc()))]


def counts_of_runs(connection: Connection, run_ids: Sequence[int] | None = None) -> dict[int, Counts]:
    """Counts by run id; all runs if `run_ids` is None."""
    query = select(RequestRow.run_id, RequestRow.status, func.count()).group_by(RequestRow.run_id, RequestRow.status)
    if run_ids is not None:
        query = query.where(RequestRow.run_id.in_(list(run_ids)))
    found: dict[int, dict[str, int]] = {}
    for run_id, status, n in connection.execute(query):
        found.setdefault(run_id, {})[status] = n
    return {run_id: Counts(**statuses) for run_id, statuses in found.items()}


def counts(connection: Connection, run_id: int) -> Counts:
    """How many requests of one run stand where."""
    return counts_of_runs(connection, [run_id]).get(run_id, Counts())


def failures_by_kind(connection: Connection, run_id: int) -> dict[str, int]:
    """How many requests of a run failed, by the kind of failure."""
    failed = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.FAILED)
    rows = connection.execute(select(RequestRow.error_kind, func.count()).where(failed).group_by(RequestRow.error_kind))
    return {kind or "": n for kind, n in rows}


def set_state(connection: Connection, run_id: int, state: RunState) -> None:
    """Set what a run wants; an active one is rung for again at once."""
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(state=state))
    if state == RunState.ACTIVE:
        waiting = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.QUEUED)
        connection.execute(update(RequestRow).where(waiting).values(published_at=None, published=0))


def cancel(connection: Connection, run_id: int) -> int:
    """Cancel a run: what is not finished never will be. Returns how many requests that were."""
    connection.execute(update(RunRow).where(RunRow.id == run_id).values(state=RunState.CANCELLED))
    open_ = RequestRow.status.in_([RequestStatus.QUEUED, RequestStatus.RUNNING])
    result = connection.execute(
        update(RequestRow)
        .where(RequestRow.run_id == run_id, open_)
        .values(status=RequestStatus.CANCELLED, lease_expires_at=None, worker_id=None, finished_at=db_now())
    )
    cancelled = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.CANCELLED)
    tried = select(RequestRow.id).where(cancelled, RequestRow.attempt > 0)
    connection.execute(  # only now: also one that was being claimed at this moment is there to be seen
        update(AttemptRow)
        .where(AttemptRow.request_id.in_(tried), AttemptRow.outcome == AttemptOutcome.RUNNING)
        .values(outcome=AttemptOutcome.RELEASED, finished_at=db_now())
    )
    return result.rowcount


def _reopened() -> dict[str, Any]:
    return {
        "status": RequestStatus.QUEUED,
        "strikes": 0,
        "retries": 0,
        "available_at": 0.0,
        "published_at": None,
        "published": 0,
        "error_kind": None,
        "error": None,
        "finished_at": None,
    }


def retry(connection: Connection, run_id: int, *, kinds: Sequence[ErrorKind] = (), indexes: Sequence[str] = ()) -> int:
    """Put failed (and cancelled) requests back in the queue with no strikes; returns how many.

    Narrowed by error kinds and by sample ids. Attempts are never reset. A cancelled run becomes active again.
    """
    states = [RequestStatus.FAILED] if kinds or indexes else [RequestStatus.FAILED, RequestStatus.CANCELLED]
    where: list[ColumnElement[bool]] = [RequestRow.run_id == run_id, RequestRow.status.in_(states)]
    if kinds:
        where.append(RequestRow.error_kind.in_(list(kinds)))
    if indexes:
        asked = exists().where(
            RequestSampleRow.request_id == RequestRow.id,
            RequestSampleRow.sample_id == SampleRow.id,
            SampleRow.key.in_(list(indexes)),
        )
        where.append(asked)
    result = connection.execute(update(RequestRow).where(*where).values(_reopened()))
    if result.rowcount:
        revived = RunRow.state == RunState.CANCELLED
        connection.execute(update(RunRow).where(RunRow.id == run_id, revived).values(state=RunState.ACTIVE))
    return result.rowcount


def unanswered_samples(connection: Connection, run_id: int) -> list[tuple[int, str, str]]:
    """(row id, sample id, video) of the samples whose response did not hold their answer."""
    rows = connection.execute(
        select(SampleRow.id, SampleRow.key, SampleRow.video)
        .join(PredictionRow, PredictionRow.sample_id == SampleRow.id)
        .where(PredictionRow.run_id == run_id)
        .where(PredictionRow.state.in_([PredictionState.ABSENT, PredictionState.UNPARSABLE]))
        .order_by(SampleRow.position)
    )
    return [(row.id, row.key, row.video) for row in rows]


def reopen(connection: Connection, run_id: int, keys: Sequence[str]) -> int:
    """Put requests with these keys back in the queue, whatever they said before."""
    result = connection.execute(
        update(RequestRow)
        .where(RequestRow.run_id == run_id, RequestRow.key.in_(list(keys)))
        .where(RequestRow.status.in_([RequestStatus.DONE, RequestStatus.FAILED, RequestStatus.CANCELLED]))
        .values(_reopened())
    )
    return result.rowcount


def reopen_cancelled(connection: Connection, run_id: int) -> int:
    """Put cancelled requests back in the queue; returns how many."""
    cancelled = RequestRow.status == RequestStatus.CANCELLED
    result = connection.execute(update(RequestRow).where(RequestRow.run_id == run_id, cancelled).values(_reopened()))
    return result.rowcount
