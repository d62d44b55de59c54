"""Aggregates for reports and the dashboard: nothing here reads more rows than it must, and nothing writes.

What could be a million rows is read in spans of ids, so that no reader stays open for long.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, literal, select

from videval.db.records import RunConfig, run_config
from videval.db.tables import (
    PredictionRow,
    RequestRow,
    RequestSampleRow,
    RunRow,
    SampleRow,
    SampleScoreRow,
)
from videval.types import RequestStatus

FAILURES_READ = 5000
"""Distinct failures that are looked at: a run with more has one cause."""

__all__ = [
    "VERDICTS",
    "FailureGroup",
    "config_of_run",
    "failure_groups",
    "prediction_states",
    "sample_facts",
    "sample_span",
    "verdicts",
]

VERDICTS = ("right", "wrong", "unparsed")
"""A verdict's code is its place here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """Failed requests with the same kind and message; `examples` are sample ids.

    `videos`: how many failed of each video, most first. `message` is said without the video where there are several.
    """

    kind: str
    message: str
    count: int
    examples: tuple[str, ...]
    videos: tuple[tuple[str, int], ...] = ()


def prediction_states(connection: Connection, run_id: int) -> dict[tuple[str, str], int]:
    """How many predictions by (state, how they were read)."""
    rows = connection.execute(
        select(PredictionRow.state, PredictionRow.how, func.count())
        .where(PredictionRow.run_id == run_id)
        .group_by(PredictionRow.state, PredictionRow.how)
    )
    return {(state, how): n for state, how, n in rows}


def failure_groups(connection: Connection, run_id: int, *, examples: int = 3) -> list[FailureGroup]:
    """The failures of a run by kind and message, most frequent first.

    Messages that differ in the video's name and in numbers only are one group, said in the words of the first, without
    its video if the group has others.
    """
    failed = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.FAILED)
    rows = connection.execute(
        select(RequestRow.error_kind, RequestRow.error, RequestRow.video)
        .add_columns(func.count().label("n"), func.min(RequestRow.id).label("first"))
        .where(failed)
        .group_by(RequestRow.error_kind, RequestRow.error, RequestRow.video)
        .order_by(func.min(RequestRow.id))
        .limit(FAILURES_READ)
    )
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        kind, message = row.error_kind or "", row.error or ""
        groups.setdefault((kind, _pattern(message, row.video)), []).append(row)
    found = [_failure_group(connection, group, examples) for group in groups.values()]
    return sorted(found, key=lambda g: -g.count)


def _pattern(message: str, video: str) -> str:
    """The message without what is particular to one request."""
    return re.sub(r"\d+(?:\.\d+)?", "#", _without_video(message, video))


def _without_video(message: str, video: str) -> str:
    """The message with "..." for the path of its video, and nothing where it begins with that."""
    name = re.escape(video.rsplit("/", 1)[-1])
    return re.sub(rf"(?:[^\s:]*{re.escape(video)}|[^\s:]*{name})(?!\w)", "...", message).removeprefix("...: ")


def _failure_group(connection: Connection, rows: Sequence[Any], examples: int) -> FailureGroup:
    keys = connection.execute(
        select(SampleRow.key)
        .join(RequestSampleRow, RequestSampleRow.sample_id == SampleRow.id)
        .where(RequestSampleRow.request_id.in_([r.first for r in rows[:examples]]))
        .order_by(SampleRow.position)
        .limit(examples)
    ).scalars()
    videos: Counter[str] = Counter()
    for row in rows:
        videos[row.video] += row.n
    message = rows[0].error or ""
    return FailureGroup(
        kind=rows[0].error_kind or "",
        message=_without_video(message, rows[0].video) if len(videos) > 1 else message,
        count=videos.total(),
        examples=tuple(keys),
        videos=tuple(videos.most_common()),
    )


def sample_span(connection: Connection, snapshot_id: int) -> tuple[int, int] | None:
    """The lowest and the highest row id of a snapshot's samples; None if it has none."""
    low, high = connection.execute(
        select(func.min(SampleRow.id), func.max(SampleRow.id)).where(SampleRow.snapshot_id == snapshot_id)
    ).one()
    return None if low is None else (low, high)


def sample_facts(
    connection: Connection, snapshot_id: int, columns: Sequence[str], low: int, high: int
) -> list[tuple[Any, ...]]:
    """(row id, video, whether it has an answer, *values of `columns` as text) of the samples with ids low..high."""
    values = [SampleRow.row[c].as_string().label(f"c{i}") for i, c in enumerate(columns)]
    rows = connection.execute(
        select(SampleRow.id, SampleRow.video, SampleRow.answer.is_not(None), *values)
        .where(SampleRow.id >= low, SampleRow.id <= high, (SampleRow.snapshot_id + 0) == snapshot_id)
        .order_by(SampleRow.id)
    )
    return [tuple(row) for row in rows]


def verdicts(
    connection: Connection, run_id: int, scorer: str, low: int, high: int, *, with_time: bool = False
) -> list[tuple[int, int, float, float]]:
    """(sample's row id, verdict's code, value or 0, when it was answered or 0) of samples with ids low..high."""
    code = case({v: i for i, v in enumerate(VERDICTS)}, value=SampleScoreRow.verdict, else_=len(VERDICTS))
    at = func.coalesce(RequestRow.finished_at, 0.0) if with_time else literal(0.0)
    query = select(SampleScoreRow.sample_id, code, func.coalesce(SampleScoreRow.value, 0.0), at)
    if with_time:
        same = (PredictionRow.run_id == SampleScoreRow.run_id) & (PredictionRow.sample_id == SampleScoreRow.sample_id)
        query = query.join(PredictionRow, same).join(RequestRow, RequestRow.id == PredictionRow.request_id)
    inside = (SampleScoreRow.sample_id >= low) & (SampleScoreRow.sample_id <= high)
    rows = connection.execute(query.where(SampleScoreRow.run_id == run_id, inside, SampleScoreRow.scorer == scorer))
    return [tuple(row) for row in rows]


def config_of_run(connection: Connection, run_id: int) -> RunConfig:
    """What the workers know of a run: its sampling and where its data lies."""
    return run_config(connection.execute(select(*RunRow.__table__.c).where(RunRow.id == run_id)).one())
