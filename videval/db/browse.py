"""Looking at single samples of a run: a page of a filtered list, and all that is known of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, and_, case, or_, select

from videval.db.records import RunInfo, StoredSample, sample_of
from videval.db.requests import samples_of_request
from videval.db.responses import seen_of
from videval.db.scores import DROPPED, RULE, VERDICTS
from videval.db.tables import (
    AttemptRow,
    PredictionRow,
    RequestRow,
    RequestSampleRow,
    ResponseRow,
    SampleRow,
    SampleScoreRow,
)
from videval.types import STAGES, PredictionState, RequestStatus, Sample, Seen

__all__ = [
    "OUTCOMES",
    "AttemptInfo",
    "RequestDetail",
    "SampleFilter",
    "SampleLine",
    "find_samples",
    "full_sample",
    "lines_of",
    "predictions_in",
    "requests_of_sample",
    "sample_line",
]

OUTCOMES = (*VERDICTS, "unscored", "unanswered", "failed", "waiting", "cancelled")
"""What became of a sample; `unanswered`: its pack's response did not hold it, `unscored`: no rule can score it. A
truncated or refused one is called so although no rule could."""

_UNSCORED = {
    PredictionState.ANSWERED: "unscored",
    PredictionState.TRUNCATED: "truncated",
    PredictionState.REFUSED: "refused",
}
_USAGE = ("prompt_tokens", "new_tokens", "cached_tokens", "reasoning_tokens", "cost")
_RANK = {"done": 0, "running": 1, "queued": 2, "cancelled": 3, "failed": 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleFilter:
    """Which samples are wanted; empty fields do not narrow. `text` is looked for in id, video, question, answers;
    `kind`: of its failure; `worker`: a part of the name of one that tried it; `video`: a part of its name."""

    outcome: str = ""
    kind: str = ""
    worker: str = ""
    video: str = ""
    column: str = ""
    group: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleLine:
    """A sample in a list: what was asked, what came of it. `outcome` is one of OUTCOMES."""

    row_id: int
    key: str
    video: str
    question: str
    answer: str | None
    prediction: str | None
    read: str | None
    value: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptInfo:
    """One try at a request."""

    attempt: int
    worker: str
    stage: str
    outcome: str
    struck: bool
    started_at: float
    finished_at: float | None
    error_kind: str | None
    error: str | None
    traceback: str | None
    environment: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestDetail:
    """A request that asked about a sample, its attempts, its response (see `Generation`) if there is one, and all
    samples it asks."""

    request_id: int
    key: str
    status: str
    error_kind: str | None
    error: str | None
    response: str | None
    thinking: str | None
    truncated: bool
    refused: str
    prompt: tuple[Mapping[str, Any], ...]
    clips: tuple[Mapping[str, Any], ...]
    seen: tuple[Seen, ...]
    rendered: str
    seconds: Mapping[str, float]
    prompt_tokens: int | None
    new_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost: float | None
    attempts: tuple[AttemptInfo, ...]
    stored: tuple[StoredSample, ...]


def _status(run_id: int) -> ScalarSelect[Any]:
    """The status of a sample: that of its most advanced request."""
    rank = case(_RANK, value=RequestRow.status, else_=9)
    return (
        select(RequestRow.status)
        .join(RequestSampleRow, RequestSampleRow.request_id == RequestRow.id)
        .where(RequestSampleRow.sample_id == SampleRow.id, RequestRow.run_id == run_id)
        .order_by(rank)
        .limit(1)
        .correlate(SampleRow)
        .scalar_subquery()
    )


def _lines(run: RunInfo) -> Select[Any]:
    prediction = and_(PredictionRow.run_id == run.run_id, PredictionRow.sample_id == SampleRow.id)
    score = and_(
        SampleScoreRow.run_id == run.run_id,
        SampleScoreRow.sample_id == SampleRow.id,
        SampleScoreRow.judge == RULE,
        SampleScoreRow.verdict != DROPPED,
    )
    columns: list[Any] = [
        *(getattr(SampleRow, name) for name in ("id", "key", "video", "question", "answer")),
        PredictionRow.text.label("prediction"),
        PredictionRow.state,
        SampleScoreRow.verdict,
        SampleScoreRow.value,
        SampleScoreRow.read,
        _status(run.run_id).label("status"),
    ]
    joined: Select[Any] = select(*columns)
    return joined.outerjoin(PredictionRow, prediction).outerjoin(SampleScoreRow, score)


def _line(row: Any) -> SampleLine:
    fields = ("key", "video", "question", "answer", "prediction", "read", "value")
    return SampleLine(row_id=row.id, outcome=_outcome(row), **{f: getattr(row, f) for f in fields})


def _outcome(row: Any) -> str:
    if row.verdict is not None:
        return str(row.verdict)
    if row.state is not None:
        return _UNSCORED.get(row.state, "unanswered")
    if row.status in (RequestStatus.FAILED, RequestStatus.CANCELLED):
        return str(row.status)
    return "waiting" if row.status else "not asked"


def _in_status(run: RunInfo, statuses: list[str]) -> ColumnElement[bool]:
    asked = (
        select(RequestSampleRow.sample_id)
        .join(RequestRow, RequestRow.id == RequestSampleRow.request_id)
        .where(RequestRow.run_id == run.run_id, RequestRow.status.in_(statuses))
    )
    return and_(SampleRow.id.in_(asked), PredictionRow.sample_id.is_(None))


def _asked_by(run: RunInfo) -> Select[Any]:
    """The requests of the run that ask a sample; for EXISTS."""
    same = and_(RequestSampleRow.request_id == RequestRow.id, RequestSampleRow.sample_id == SampleRow.id)
    joined: Select[Any] = select(RequestRow.id).join(RequestSampleRow, same).where(RequestRow.run_id == run.run_id)
    return joined.correlate(SampleRow)


def _came_of(run: RunInfo, outcome: str) -> ColumnElement[bool]:
    """Whether this is the outcome of a sample, as `_outcome` says."""
    if outcome == "waiting":
        return _in_status(run, [RequestStatus.QUEUED, RequestStatus.RUNNING])
    if outcome in ("failed", "cancelled"):
        return _in_status(run, [outcome])
    states = [state for state in PredictionState if _UNSCORED.get(state, "unanswered") == outcome]
    unscored = and_(PredictionRow.state.in_(states), SampleScoreRow.verdict.is_(None))
    return or_(SampleScoreRow.verdict == outcome, unscored) if states else SampleScoreRow.verdict == outcome


def _wanted(run: RunInfo, wanted: SampleFilter) -> list[ColumnElement[bool]]:
    where = [_came_of(run, wanted.outcome)] if wanted.outcome in OUTCOMES else []
    if wanted.kind:
        failed = (RequestRow.status == RequestStatus.FAILED) & (RequestRow.error_kind == wanted.kind)
        where.append(_asked_by(run).where(failed).exists())
    if wanted.worker:
        tried = _asked_by(run).join(AttemptRow, AttemptRow.request_id == RequestRow.id)
        where.append(tried.where(AttemptRow.worker.icontains(wanted.worker, autoescape=True)).exists())
    if wanted.video:
        where.append(SampleRow.video.icontains(wanted.video, autoescape=True))
    if wanted.column and wanted.group:
        where.append(SampleRow.row[wanted.column].as_string() == wanted.group)
    if wanted.text:
        columns = (SampleRow.key, SampleRow.video, SampleRow.question, SampleRow.answer, PredictionRow.text)
        where.append(or_(*(c.icontains(wanted.text, autoescape=True) for c in columns)))
    return where


def find_samples(
    connection: Connection,
    run: RunInfo,
    wanted: SampleFilter,
    low: int,
    high: int,
    *,
    limit: int,
    backwards: bool = False,
) -> list[SampleLine]:
    """The first samples (the last ones if `backwards`) with row ids low..high that the filter lets through."""
    query = _lines(run).where(SampleRow.id >= low, SampleRow.id <= high)
    query = query.where((SampleRow.snapshot_id + 0) == run.snapshot_id, *_wanted(run, wanted))
    order = SampleRow.id.desc() if backwards else SampleRow.id
    return [_line(row) for row in connection.execute(query.order_by(order).limit(limit))]


def sample_line(connection: Connection, run: RunInfo, key: str) -> SampleLine | None:
    """The sample of this id with what came of it; None if the benchmark has no such sample."""
    query = _lines(run).where(SampleRow.snapshot_id == run.snapshot_id, SampleRow.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _line(row)


def lines_of(connection: Connection, run: RunInfo, row_ids: list[int]) -> list[SampleLine]:
    """These samples with what came of them, in the benchmark's order."""
    query = _lines(run).where(SampleRow.id.in_(row_ids)).order_by(SampleRow.id)
    return [_line(row) for row in connection.execute(query)]


def full_sample(connection: Connection, row_id: int) -> StoredSample:
    """A sample with all of its columns."""
    row = connection.execute(select(*SampleRow.__table__.c).where(SampleRow.id == row_id)).one()
    return StoredSample(row_id=row.id, sample=sample_of(row))


def requests_of_sample(connection: Connection, run_id: int, sample_row_id: int) -> list[RequestDetail]:
    """Every request of the run that asks about this sample, packs first."""
    rows = connection.execute(
        select(*RequestRow.__table__.c)
        .join(RequestSampleRow, RequestSampleRow.request_id == RequestRow.id)
        .where(RequestSampleRow.sample_id == sample_row_id, RequestRow.run_id == run_id)
        .order_by(RequestRow.id)
    ).all()
    return [_detail(connection, row) for row in rows]


def _detail(connection: Connection, request: Any) -> RequestDetail:
    said = connection.execute(
        select(*ResponseRow.__table__.c).where(ResponseRow.request_id == request.id)
    ).one_or_none()
    return RequestDetail(
        request_id=request.id,
        key=request.key,
        status=request.status,
        error_kind=request.error_kind,
        error=request.error,
        response=said.text if said else None,
        thinking=said.thinking if said else None,
        truncated=bool(said and said.truncated),
        refused=said.refused if said else "",
        prompt=tuple(said.prompt) if said else (),
        clips=tuple(said.clips) if said else (),
        seen=seen_of(said.seen) if said else (),
        rendered=said.rendered if said else "",
        seconds={s: getattr(said, f"{s}_s") for s in STAGES} if said else {},
        **{name: getattr(said, name) if said else None for name in _USAGE},
        attempts=_attempts(connection, request.id),
        stored=samples_of_request(connection, request.id),
    )


def _attempts(connection: Connection, request_id: int) -> tuple[AttemptInfo, ...]:
    query = select(*AttemptRow.__table__.c).where(AttemptRow.request_id == request_id).order_by(AttemptRow.attempt)
    names = AttemptInfo.__dataclass_fields__
    return tuple(AttemptInfo(**{n: getattr(row, n) for n in names}) for row in connection.execute(query))


def predictions_in(connection: Connection, run: RunInfo, low: int, high: int) -> list[tuple[Sample, str | None]]:
    """The samples with row ids low..high that the run asks, in the benchmark's order, each with its prediction."""
    answered = and_(PredictionRow.run_id == run.run_id, PredictionRow.sample_id == SampleRow.id)
    query = (
        select(*SampleRow.__table__.c, PredictionRow.text)
        .outerjoin(PredictionRow, answered)
        .where(SampleRow.id >= low, SampleRow.id <= high, (SampleRow.snapshot_id + 0) == run.snapshot_id)
        .where(_status(run.run_id).is_not(None))
        .order_by(SampleRow.id)
    )
    return [(sample_of(row), row.text) for row in connection.execute(query)]
