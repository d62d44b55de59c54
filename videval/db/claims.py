"""The taking of requests: whose turn it is, and what is taken with it.

A bell means that there is work, and not which: a worker takes the request whose turn it is among all runs of its model,
and with it what else waits for an answer about the same video.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Float,
    SQLColumnExpression,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from videval.db import attempts, newer
from videval.db.connect import in_index_order
from videval.db.queue import unring
from videval.db.records import Claim, RunConfig, StoredSample, WorkerIdentity, run_config, sample_of
from videval.db.session import Connection, db_now
from videval.db.tables import RequestRow, RequestSampleRow, RunRow, SampleRow
from videval.db.usage import allowance_of
from videval.errors import NewerRun
from videval.types import RequestStatus, RunState

__all__ = ["claim", "claim_as_it_was", "has_work", "samples_of_request", "take"]

WAITS = and_(RequestRow.status == RequestStatus.QUEUED, RequestRow.available_at <= db_now())
"""The request may be claimed as far as it is concerned."""
FITS = and_(
    RunRow.state == RunState.ACTIVE,
    RunRow.load_key == bindparam("model_key"),
    or_(RunRow.dtype.is_(None), RunRow.dtype == bindparam("model_dtype")),
)
"""The run wants to be answered, by the model that a worker holds."""
IN_LINE = and_(RequestRow.status == literal_column("'queued'"), RequestRow.available_at <= db_now())
"""It waits, in so many words: some indexes are of what waits only."""
NO_CLIPS: Mapping[int, str] = MappingProxyType({})
KNOWN_RUNS = "videval_runs"
"""Where a connection keeps what it has read of runs that does not change; their dtype is none of it."""


def _next_of(run: SQLColumnExpression[int]) -> Any:
    """The waiting request of a run that was rung for longest ago: the order of the run, as its bells went out; those
    that nobody rang for yet come last.

    That is the order of an index: however many wait, one is read.
    """
    as_rung = RequestRow.published_at.asc().nulls_last()
    return select(RequestRow.id).where(RequestRow.run_id == run, WAITS).order_by(as_rung).limit(1)


RUNNING = (
    select(func.count())
    .where(RequestRow.run_id == RunRow.id, RequestRow.status == RequestStatus.RUNNING)
    .scalar_subquery()
)
ALL_TURNS = (
    select(RunRow.id)
    .where(FITS, _next_of(RunRow.id).scalar_subquery().is_not(None))
    .order_by(RunRow.priority.desc(), RUNNING, RunRow.id <= bindparam("after"), RunRow.id)
)
TURNS = ALL_TURNS.limit(2)
"""Whose turn it is, and who is next: the most urgent, of these the one with the fewest requests in work, of these the
one that comes after the run that was served last."""


def _taking(request: ColumnElement[bool], waits: ColumnElement[bool] = WAITS) -> Any:
    since = func.coalesce(RequestRow.published_at, RequestRow.created_at)
    due = case((RequestRow.available_at > since, RequestRow.available_at), else_=since)
    return (
        update(RequestRow)
        .where(request, waits, select(RunRow.id).where(RunRow.id == RequestRow.run_id, FITS).exists())
        .values(
            status=RequestStatus.RUNNING,
            attempt=RequestRow.attempt + 1,
            worker_id=bindparam("me"),
            lease_expires_at=db_now() + bindparam("lease", type_=Float),
        )
        .returning(
            RequestRow.id,
            RequestRow.run_id,
            RequestRow.key,
            RequestRow.video,
            RequestRow.attempt,
            RequestRow.alone,
            RequestRow.begun,
            RequestRow.retries,
            RequestRow.published_at,
            (db_now() - due).label("queue_s"),
            select(RunRow.dtype).where(RunRow.id == RequestRow.run_id).scalar_subquery().label("dtype"),
        )
    )


ITS_OWN = select(RequestRow.id).where(RequestRow.id == bindparam("request")).with_for_update(skip_locked=True)
TAKE = _taking(RequestRow.id == ITS_OWN.scalar_subquery()).returning(literal(False).label("has_siblings"))


IN_RUN = select(RequestRow.id).where(RequestRow.run_id == bindparam("run"), IN_LINE)
IN_CLIP = IN_RUN.where(RequestRow.video == bindparam("clip"))
IN_COMPANY = IN_CLIP.where(~RequestRow.alone).order_by(RequestRow.id)


def _best() -> Any:
    """What a worker should take of a run: what waits of the clip that it has; what rang, or else the next, if nobody
    has begun its clip; and at last what others have begun.

    Two workers at once take two requests: PostgreSQL passes over rows that another one is taking (who is perhaps
    frozen, and all writes of this worker would wait for it), SQLite's writers take turns.
    """
    its_own = IN_RUN.where(RequestRow.id == bindparam("request"), ~RequestRow.begun)
    as_rung = IN_RUN.order_by(RequestRow.published_at.asc().nulls_last()).limit(1)
    ways = [IN_COMPANY.limit(1), its_own, as_rung.where(~RequestRow.begun), as_rung.where(RequestRow.begun)]
    return func.coalesce(*(way.with_for_update(skip_locked=True).scalar_subquery() for way in ways))


HAS_SIBLINGS = literal_column(
    "EXISTS (SELECT 1 FROM requests AS others WHERE others.run_id = requests.run_id"
    " AND others.video = CAST(requests.video AS TEXT) AND others.status = 'queued' AND others.id <> requests.id)",
    Boolean(),
)
"""In SQL's own words: of what is returned SQLAlchemy names no tables, and SQLite must be told what is a text to find it
by an index."""
TAKE_BEST = _taking(RequestRow.id == _best()).returning(HAS_SIBLINGS.label("has_siblings"))
SIBLINGS = IN_COMPANY.limit(bindparam("more")).with_for_update(skip_locked=True).cte("siblings")
STILL_WAITS = and_(func.coalesce(RequestRow.status, "") == RequestStatus.QUEUED, RequestRow.available_at <= db_now())
"""The same, and no index knows: SQLite would go through all that waits to find a few by their ids."""
TAKE_SIBLINGS = _taking(RequestRow.id.in_(select(SIBLINGS.c.id)), STILL_WAITS)
REST = IN_CLIP.where(~RequestRow.begun).order_by(RequestRow.id).limit(bindparam("more"))
NOTED = REST.with_for_update(skip_locked=True).cte("noted")
NOTE_BEGUN = update(RequestRow).where(RequestRow.id.in_(select(NOTED.c.id))).values(begun=True)
MOST_NOTED = 1000
"""Requests about a clip that are noted as begun at once, while all others wait to write; of a clip with more, others
may take what is behind these: so many questions are worth its being decoded twice."""
RUN = select(*RunRow.__table__.c).where(RunRow.id == bindparam("run"))
DTYPE = select(RunRow.dtype).where(RunRow.id == bindparam("run"))
FIX_DTYPE = (
    update(RunRow).where(RunRow.id == bindparam("run"), RunRow.dtype.is_(None)).values(dtype=bindparam("model_dtype"))
)
SAMPLES = (
    select(RequestSampleRow.request_id, *SampleRow.__table__.c)
    .join_from(RequestSampleRow, SampleRow, SampleRow.id == RequestSampleRow.sample_id)
    .where(RequestSampleRow.request_id.in_(bindparam("requests", expanding=True)))
    .order_by(RequestSampleRow.request_id, RequestSampleRow.position)
)
AS_IT_WAS = select(*RequestRow.__table__.c).where(
    RequestRow.id == bindparam("request"), RequestRow.attempt == bindparam("of_attempt")
)


def claim(
    connection: Connection, request_id: int, worker: WorkerIdentity, *, lease: float, load_key: str, dtype: str
) -> Claim | None:
    """Take this request for this worker, or None if it is not to be had (done, taken, paused, not yet due).

    `lease` seconds. `load_key` and `dtype` are those of the model that this worker holds: a run of another model
    is not taken, nor one whose dtype is fixed to another one; one that has none yet is fixed to this.
    """
    who = {"model_key": load_key, "model_dtype": dtype, "me": worker.id, "lease": lease}
    row = connection.execute(TAKE, who | {"request": request_id}).one_or_none()
    return next(iter(_taken(connection, row, worker, who, most=1)), None)


def take(
    connection: Connection,
    request_id: int,
    worker: WorkerIdentity,
    *,
    lease: float,
    load_key: str,
    dtype: str,
    after: int,
    most: int,
    clips: Mapping[int, str] = NO_CLIPS,
) -> list[Claim]:
    """Take the request whose turn it is, on hearing the bell of `request_id`, and with it up to `most` - 1 others that
    wait for the same video in the same run, in order; nothing if nothing is to be had.

    `clips`: by run, the video that this worker has: what waits of that comes first. Then, while one run has work, the
    request that rang, or else the run's next: of the videos that nobody has begun, and at last of the others. While
    several runs have work each is served in its own order, by turns: `after` is the run that this worker served last.
    What runs alone is taken alone. The rest is as for `claim`.
    """
    who = {"model_key": load_key, "model_dtype": dtype, "me": worker.id, "lease": lease}
    runs = _turns(connection, load_key, dtype, after)
    its_own = len(runs) == 1 and not newer.known(connection)
    row = None
    for run_id in runs:
        of_run = {"run": run_id, "clip": clips.get(run_id), "request": request_id if its_own else None}
        row = row or connection.execute(TAKE_BEST, who | of_run).one_or_none()
    if row is not None and row.id != request_id and row.published_at is None:
        unring(connection, [request_id])  # what was taken had no bell of its own and used up this one
    return _taken(connection, row, worker, who, most=most)


def has_work(connection: Connection, load_key: str, dtype: str) -> bool:
    """Whether some run has a request to be claimed by a worker that holds this model."""
    in_index_order(connection)
    return bool(_turns(connection, load_key, dtype, 0))


def _turns(connection: Connection, load_key: str, dtype: str, after: int) -> Sequence[int]:
    who = {"model_key": load_key, "model_dtype": dtype, "after": after}
    if left := newer.known(connection):
        return [run_id for run_id in connection.execute(ALL_TURNS, who).scalars() if run_id not in left][:2]
    return connection.execute(TURNS, who).scalars().all()


def _taken(connection: Connection, row: Any, worker: WorkerIdentity, who: dict[str, Any], *, most: int) -> list[Claim]:
    """The claims of a row that was just taken and of its siblings."""
    if row is None:
        return []
    run = _run(connection, row.run_id)
    if run is not None and run.spec.remote is not None:
        run = replace(run, allowance=allowance_of(connection, run))
    if run is None or (row.dtype is None and not _fix_dtype(connection, row.run_id, who["model_dtype"])):
        attempts.requeue(connection, (row.id, row.attempt))
        return []
    rows = [row]
    if row.has_siblings and not row.alone:
        of_video = {"run": row.run_id, "clip": row.video}
        if most > 1:
            siblings = connection.execute(TAKE_SIBLINGS, who | of_video | {"more": most - 1})
            rows += sorted(siblings, key=lambda sibling: sibling.id)
        if len(rows) == most and not row.begun:
            connection.execute(NOTE_BEGUN, of_video | {"more": MOST_NOTED})
    attempts.begin(connection, [(r.id, r.attempt) for r in rows], worker)
    samples = _samples(connection, [r.id for r in rows])
    return [_claim_of(r, run, samples[r.id], queue_s=max(0.0, r.queue_s)) for r in rows]


def _fix_dtype(connection: Connection, run_id: int, dtype: str) -> bool:
    """Fix a run's dtype at its first claim; False if another worker fixed it to another one at the same moment."""
    connection.execute(FIX_DTYPE, {"run": run_id, "model_dtype": dtype})
    return connection.execute(DTYPE, {"run": run_id}).scalar_one() == dtype


def _run(connection: Connection, run_id: int) -> RunConfig | None:
    """What a worker must know of a run; None if only a newer videval can read it."""
    try:
        return _read_run(connection, run_id)
    except NewerRun:
        newer.remember(connection, run_id)
        return None


def _read_run(connection: Connection, run_id: int) -> RunConfig:
    known: dict[int, RunConfig] = connection.info.setdefault(KNOWN_RUNS, {})
    if run_id not in known:
        known[run_id] = run_config(connection.execute(RUN, {"run": run_id}).one())
    return known[run_id]


def _claim_of(row: Any, run: RunConfig, samples: tuple[StoredSample, ...], *, queue_s: float) -> Claim:
    return Claim(
        request_id=row.id,
        attempt=row.attempt,
        key=row.key,
        alone=row.alone,
        retries=row.retries,
        queue_s=queue_s,
        run=run,
        stored=samples,
        rung=row.published_at is not None,
    )


def claim_as_it_was(connection: Connection, request_id: int, attempt: int) -> Claim | None:
    """The claim of an attempt that nobody has succeeded, to store an answer that was kept on disk."""
    row = connection.execute(AS_IT_WAS, {"request": request_id, "of_attempt": attempt}).one_or_none()
    if row is None:
        return None
    return _claim_of(row, _read_run(connection, row.run_id), samples_of_request(connection, row.id), queue_s=0.0)


def samples_of_request(connection: Connection, request_id: int) -> tuple[StoredSample, ...]:
    """The samples that a request asks about, in order."""
    return _samples(connection, [request_id]).get(request_id, ())


def _samples(connection: Connection, request_ids: Sequence[int]) -> dict[int, tuple[StoredSample, ...]]:
    rows = connection.execute(SAMPLES, {"requests": list(request_ids)})
    return {
        request_id: tuple(StoredSample(row_id=row.id, sample=sample_of(row)) for row in group)
        for request_id, group in groupby(rows, key=lambda row: row.request_id)
    }
