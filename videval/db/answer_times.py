"""When each answer of a run was claimed, got ready, generated and stored, and by whom: read in spans of request ids."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from videval.db import sums
from videval.db.tables import AttemptRow, RequestRow, ResponseRow, RunRow
from videval.db.timings import ANSWERED, in_span
from videval.types import AttemptOutcome

__all__ = ["IN_VAIN", "AnswerTimes", "TryInVain", "answer_times_in", "mean_seconds_by_video", "tries_in_vain_in"]

IN_VAIN = (
    AttemptOutcome.FAILED,
    AttemptOutcome.REQUEUED,
    AttemptOutcome.RELEASED,
    AttemptOutcome.LOST,
    AttemptOutcome.REPEATED,
)
"""Endings of tries that gave no answer."""

MOST_ASKED = 20_000
"""Answers of an earlier run that are looked at: its newest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerTimes:
    """One answer's way, in seconds: moments since the epoch, the rest as of a Response. `worker` is that worker's name;
    `decoded`: how many of its clips were decoded for it, None if nobody counted."""

    worker: str
    claimed_at: float
    stored_at: float
    decode_s: float
    prepare_s: float
    wait_s: float
    generate_s: float
    store_s: float
    clips: int
    decoded: int | None
    prompt_tokens: int | None
    cached_tokens: int | None

    @property
    def ended_at(self) -> float:
        """When it was generated."""
        return self.stored_at - self.store_s

    @property
    def began_at(self) -> float:
        """When the model began with it."""
        return self.ended_at - self.generate_s

    @property
    def prepared_at(self) -> float:
        """When it was ready for the model."""
        return self.began_at - self.wait_s

    @property
    def decoded_at(self) -> float:
        """When its frames were there."""
        return self.prepared_at - self.prepare_s


@dataclass(frozen=True, kw_only=True, slots=True)
class TryInVain:
    """A try that gave no answer, from its claim to its end, in seconds since the epoch; `kind` of failure, or empty."""

    worker: str
    outcome: AttemptOutcome
    kind: str
    started_at: float
    ended_at: float


def answer_times_in(connection: Connection, run_id: int, low: int, high: int) -> Iterator[AnswerTimes]:
    """The ways of the answers to requests with ids low..high; without those that were imported."""
    taken = ("decode_s", "prepare_s", "wait_s", "generate_s", "store_s", "decoded", "prompt_tokens", "cached_tokens")
    of_attempt = (AttemptRow.request_id == ResponseRow.request_id) & (AttemptRow.attempt == ResponseRow.attempt)
    rows = connection.execute(
        select(
            AttemptRow.worker,
            AttemptRow.started_at.label("claimed_at"),
            ResponseRow.created_at.label("stored_at"),
            func.json_array_length(ResponseRow.clips).label("clips"),
            *(getattr(ResponseRow, name) for name in taken),
        )
        .join(AttemptRow, of_attempt)
        .where(in_span(run_id, low, high))
    )
    for row in rows:
        yield AnswerTimes(**row._mapping)


def tries_in_vain_in(connection: Connection, run_id: int, low: int, high: int) -> Iterator[TryInVain]:
    """The tries at requests with ids low..high that are over and gave no answer."""
    names = ("worker", "outcome", "error_kind", "started_at", "finished_at")
    rows = connection.execute(
        select(*(getattr(AttemptRow, name) for name in names))
        .join(RequestRow, RequestRow.id == AttemptRow.request_id)
        .where(AttemptRow.request_id >= low, AttemptRow.request_id <= high, (RequestRow.run_id + 0) == run_id)
        .where(AttemptRow.outcome.in_(IN_VAIN))
    )
    for row in rows:
        ended = row.started_at if row.finished_at is None else row.finished_at
        yield TryInVain(
            worker=row.worker,
            outcome=AttemptOutcome(row.outcome),
            kind=row.error_kind or "",
            started_at=row.started_at,
            ended_at=ended,
        )


def mean_seconds_by_video(connection: Connection, snapshot_id: int, model: str) -> dict[str, float]:
    """Mean seconds of decoding, preparing and generating an answer about each video, by the run of this model on these
    questions that has most answers, of those whose answers were not imported; nothing if there is none."""
    of_model = select(RunRow.id).where(RunRow.snapshot_id == snapshot_id, RunRow.model == model)
    run_ids = connection.execute(of_model).scalars().all()
    answered = sums.of_runs(connection, run_ids, prefix=ANSWERED)
    fullest = sorted(answered, key=lambda run_id: (-answered[run_id].get(ANSWERED, 0.0), -run_id))
    return next(filter(None, (_mean_seconds(connection, run_id) for run_id in fullest)), {})


def _mean_seconds(connection: Connection, run_id: int) -> dict[str, float]:
    took = ResponseRow.decode_s + ResponseRow.prepare_s + ResponseRow.generate_s
    newest = (
        select(ResponseRow.request_id, took.label("took"))
        .where(ResponseRow.run_id == run_id, ResponseRow.generate_s > 0)  # imported answers took no time here
        .order_by(ResponseRow.created_at.desc())
        .limit(MOST_ASKED)
        .subquery()
    )
    by_video = select(RequestRow.video, func.avg(newest.c.took)).join(newest, newest.c.request_id == RequestRow.id)
    return {video: float(seconds) for video, seconds in connection.execute(by_video.group_by(RequestRow.video))}
