"""Aggregates for reports and the dashboard: nothing here reads more rows than it must, and nothing writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select

from videval.db.session import db_now
from videval.db.tables import (
    PredictionRow,
    RequestRow,
    RequestSampleRow,
    ResponseRow,
    RunRow,
    SampleRow,
    SampleScoreRow,
)
from videval.types import RequestStatus

__all__ = [
    "FailureGroup",
    "Pace",
    "ScoreCell",
    "failure_groups",
    "num_scorable",
    "pace",
    "prediction_states",
    "sample_counts",
    "score_cells",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a run goes: answers in the last `window_s` seconds and in all, seconds from first to last answer,
    means of the stages in seconds."""

    recent: int
    window_s: float
    answered: int
    elapsed_s: float
    since_last_s: float | None
    decode_s: float
    generate_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """Failed requests with the same kind and message; `examples` are sample ids."""

    kind: str
    message: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreCell:
    """The scores of one video within one group: how many, their sum, and how many of each verdict."""

    group: str | None
    video: str
    n: int
    total: float
    squares: float
    right: int
    wrong: int
    unparsed: int


def pace(connection: Connection, run_id: int, *, window_s: float = 60.0) -> Pace:
    """The pace of a run by its stored responses."""
    recent = select(func.count()).select_from(ResponseRow)
    recent = recent.where(ResponseRow.run_id == run_id, ResponseRow.created_at > db_now() - window_s)
    row = connection.execute(
        select(
            func.count().label("answered"),
            func.min(ResponseRow.created_at).label("first"),
            func.max(ResponseRow.created_at).label("last"),
            func.avg(ResponseRow.decode_s).label("decode_s"),
            func.avg(ResponseRow.generate_s).label("generate_s"),
            db_now().label("now"),
        ).where(ResponseRow.run_id == run_id)
    ).one()
    return Pace(
        recent=connection.execute(recent).scalar_one(),
        window_s=window_s,
        answered=row.answered,
        elapsed_s=(row.last - row.first) if row.answered else 0.0,
        since_last_s=(row.now - row.last) if row.answered else None,
        decode_s=row.decode_s or 0.0,
        generate_s=row.generate_s or 0.0,
    )


def sample_counts(connection: Connection, run_id: int) -> tuple[int, int]:
    """(samples that the run asks, samples with a prediction)."""
    asked = connection.execute(
        select(func.count(RequestSampleRow.sample_id.distinct()))
        .join(RequestRow, RequestRow.id == RequestSampleRow.request_id)
        .where(RequestRow.run_id == run_id)
    ).scalar_one()
    predicted = select(func.count()).select_from(PredictionRow).where(PredictionRow.run_id == run_id)
    return asked, connection.execute(predicted).scalar_one()


def prediction_states(connection: Connection, run_id: int) -> dict[tuple[str, str], int]:
    """How many predictions by (state, how they were read)."""
    rows = connection.execute(
        select(PredictionRow.state, PredictionRow.how, func.count())
        .where(PredictionRow.run_id == run_id)
        .group_by(PredictionRow.state, PredictionRow.how)
    )
    return {(state, how): n for state, how, n in rows}


def failure_groups(connection: Connection, run_id: int, *, examples: int = 3) -> list[FailureGroup]:
    """The failures of a run by kind and message, most frequent first."""
    failed = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.FAILED)
    groups = connection.execute(
        select(RequestRow.error_kind, RequestRow.error, func.count().label("n"))
        .where(failed)
        .group_by(RequestRow.error_kind, RequestRow.error)
        .order_by(func.count().desc())
    ).all()
    found = []
    for kind, message, count in groups:
        keys = connection.execute(
            select(SampleRow.key)
            .join(RequestSampleRow, RequestSampleRow.sample_id == SampleRow.id)
            .join(RequestRow, RequestRow.id == RequestSampleRow.request_id)
            .where(failed, RequestRow.error_kind == kind, RequestRow.error == message)
            .order_by(SampleRow.position)
            .limit(examples)
        ).scalars()
        found.append(FailureGroup(kind=kind or "", message=message or "", count=count, examples=tuple(keys)))
    return found


def score_cells(connection: Connection, run_id: int, scorer: str, column: str | None = None) -> Iterator[ScoreCell]:
    """Sums of the scores by video, and by the value of one of the benchmark's columns if `column` is given."""
    verdicts = {v: func.sum(_is(SampleScoreRow.verdict, v)).label(v) for v in ("right", "wrong", "unparsed")}
    value = func.coalesce(SampleScoreRow.value, 0.0)
    columns: Sequence[Any] = [
        SampleRow.video,
        func.count().label("n"),
        func.sum(value).label("total"),
        func.sum(value * value).label("squares"),
        *verdicts.values(),
    ]
    query = (
        select(*columns)
        .join(SampleScoreRow, SampleScoreRow.sample_id == SampleRow.id)
        .where(SampleScoreRow.run_id == run_id, SampleScoreRow.scorer == scorer)
    )
    if column:
        group = SampleRow.row[column].as_string()
        query = query.add_columns(group.label("group")).group_by(SampleRow.video, group)
    else:
        query = query.group_by(SampleRow.video)
    for row in connection.execute(query):
        yield ScoreCell(
            group=row.group if column else None,
            video=row.video,
            n=row.n,
            total=float(row.total),
            squares=float(row.squares),
            right=int(row.right),
            wrong=int(row.wrong),
            unparsed=int(row.unparsed),
        )


def _is(column: Any, value: str) -> Any:
    return case((column == value, 1), else_=0)


def num_scorable(connection: Connection, run_id: int) -> int:
    """How many samples of the run's snapshot have an answer to compare with."""
    return connection.execute(
        select(func.count())
        .select_from(SampleRow)
        .join(RunRow, RunRow.snapshot_id == SampleRow.snapshot_id)
        .where(RunRow.id == run_id, SampleRow.answer.is_not(None))
    ).scalar_one()
