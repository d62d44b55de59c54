"""Answers: stored once with their predictions and scores in one transaction, read back for merge, score and export."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, select, update

from videval.db.records import Claim, StoredSample, sample_of
from videval.db.requests import finish_attempt, owned
from videval.db.session import db_now, upsert
from videval.db.tables import (
    PredictionRow,
    RequestRow,
    RequestSampleRow,
    ResponseRow,
    RunRow,
    SampleRow,
    SampleScoreRow,
)
from videval.types import (
    AttemptOutcome,
    Frame,
    Image,
    Part,
    Prediction,
    RequestStatus,
    Response,
    Sample,
    Score,
    Stage,
    Text,
)

__all__ = [
    "Answered",
    "Reading",
    "SampleResult",
    "answered",
    "answered_ids",
    "complete",
    "failures",
    "iter_results",
    "store_readings",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleResult:
    """One sample of a run with its prediction (None: not answered yet) and the status of its request."""

    sample: Sample
    state: str | None
    prediction: str | None
    how: str | None
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A stored response with the samples it answers, to take predictions from again."""

    request_id: int
    packed: bool
    text: str
    samples: tuple[StoredSample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read in a response: a prediction for each of its samples, and scores by sample id."""

    request_id: int
    samples: Sequence[StoredSample]
    predictions: Sequence[Prediction]
    scores: Mapping[str, Score]


def complete(
    connection: Connection,
    claim: Claim,
    response: Response,
    predictions: Sequence[Prediction],
    scores: Mapping[str, Score],
    *,
    resurrect: bool = False,
) -> bool:
    """Store an answer, its predictions and its scores; False if the fence refused it (someone else has the request).

    True also if this attempt's answer is stored already: a connection that breaks while it commits cannot say so.

    `resurrect` also takes the answer of an attempt that was given up but not yet succeeded by another one (an
    answer that was spooled to disk).
    """
    fence = owned(claim.request_id, claim.attempt)
    if resurrect:
        fence = (
            (RequestRow.id == claim.request_id)
            & (RequestRow.attempt == claim.attempt)
            & RequestRow.status.in_([RequestStatus.RUNNING, RequestStatus.QUEUED, RequestStatus.FAILED])
        )
    done = {"status": RequestStatus.DONE, "lease_expires_at": None, "error_kind": None, "error": None}
    result = connection.execute(update(RequestRow).where(fence).values(finished_at=db_now(), **done))
    if result.rowcount != 1:
        return _is_stored(connection, claim)
    upsert(connection, ResponseRow, [_response(claim, response)], keys=["request_id"])
    reading = Reading(request_id=claim.request_id, samples=claim.samples, predictions=predictions, scores=scores)
    store_readings(connection, claim.run.run_id, claim.run.scorer, [reading])
    finish_attempt(connection, claim.request_id, claim.attempt, AttemptOutcome.DONE, stage=Stage.STORE)
    return True


def _is_stored(connection: Connection, claim: Claim) -> bool:
    mine = (ResponseRow.request_id == claim.request_id) & (ResponseRow.attempt == claim.attempt)
    done = (RequestRow.id == claim.request_id) & (RequestRow.status == RequestStatus.DONE)
    found = select(ResponseRow.request_id).join(RequestRow, RequestRow.id == ResponseRow.request_id).where(mine, done)
    return connection.execute(found).scalar() is not None


def part_as_json(part: Part) -> dict[str, Any]:
    """A prompt's part as it is stored."""
    match part:
        case Text():
            return {"type": "text", "role": part.role, "text": part.text}
        case Frame():
            return {"type": "frame", "position": part.position}
        case Image():
            return {"type": "image", "path": part.path}
    return {"type": "video"}


def _response(claim: Claim, response: Response) -> dict[str, Any]:
    clip = asdict(response.prompt.clip) if response.prompt.clip else {}
    clip.pop("path", None)
    timings = {f"{name}_s": value for name, value in asdict(response.timings).items()}
    return {
        "request_id": claim.request_id,
        "run_id": claim.run.run_id,
        "attempt": claim.attempt,
        "text": response.text,
        "truncated": response.generation.truncated,
        "prompt": [part_as_json(p) for p in response.prompt.parts],
        "clip": clip,
        "num_frames": response.prompt.clip.num_frames if response.prompt.clip else 0,
        "prompt_tokens": response.generation.prompt_tokens,
        "new_tokens": response.generation.new_tokens,
        "created_at": db_now(),
        **timings,
    }


def store_readings(connection: Connection, run_id: int, scorer: str, readings: Iterable[Reading]) -> None:
    """Give samples their predictions, replacing older ones, and store what a scorer says of them, dropping what it
    said of those that it no longer scores. Of several readings of a sample the last one counts."""
    predicted: dict[int, dict[str, Any]] = {}
    scores: dict[int, Score | None] = {}
    for reading in readings:
        row_ids = {s.sample.id: s.row_id for s in reading.samples}
        for p in reading.predictions:
            row_id = row_ids[p.sample_id]
            said = {"request_id": reading.request_id, "state": p.state, "text": p.text, "how": p.how}
            predicted[row_id] = {"run_id": run_id, "sample_id": row_id, "created_at": db_now(), **said}
        scores |= {row_id: reading.scores.get(sample_id) for sample_id, row_id in row_ids.items()}
    upsert(connection, PredictionRow, list(predicted.values()), keys=["run_id", "sample_id"])
    _store_scores(connection, {"run_id": run_id, "scorer": scorer}, scores)


def _store_scores(connection: Connection, of: Mapping[str, Any], scores: Mapping[int, Score | None]) -> None:
    """Scores by the row id of their samples; None drops an older one."""
    dropped = [row_id for row_id, score in scores.items() if score is None]
    if dropped:
        mine = (SampleScoreRow.run_id == of["run_id"]) & (SampleScoreRow.scorer == of["scorer"])
        connection.execute(delete(SampleScoreRow).where(mine, SampleScoreRow.sample_id.in_(dropped)))
    rows = [
        {**of, "sample_id": row_id, "created_at": db_now(), "verdict": s.verdict, "value": s.value, "read": s.read}
        for row_id, s in scores.items()
        if s is not None
    ]
    upsert(connection, SampleScoreRow, rows, keys=["run_id", "sample_id", "scorer"])


def iter_results(connection: Connection, run_id: int) -> Iterator[SampleResult]:
    """Every sample that the run asks, in the benchmark's order, with its prediction; streamed.

    A sample that is asked by several requests (a pack, then alone) counts as its most advanced one.
    """
    best = (
        select(RequestSampleRow.sample_id, RequestRow.status)
        .join(RequestRow, RequestRow.id == RequestSampleRow.request_id)
        .where(RequestRow.run_id == run_id)
        .order_by(RequestSampleRow.sample_id)
    )
    statuses: dict[int, str] = {}
    order = ("failed", "cancelled", "queued", "running", "done")
    for sample_id, status in connection.execute(best):
        known = statuses.get(sample_id)
        if known is None or order.index(status) > order.index(known):
            statuses[sample_id] = status
    found = connection.execution_options(yield_per=1000).execute(
        select(*SampleRow.__table__.c, PredictionRow.state, PredictionRow.text, PredictionRow.how)
        .join(RunRow, RunRow.snapshot_id == SampleRow.snapshot_id)
        .outerjoin(PredictionRow, (PredictionRow.run_id == RunRow.id) & (PredictionRow.sample_id == SampleRow.id))
        .where(RunRow.id == run_id)
        .order_by(SampleRow.position)
    )
    for row in found:
        if row.id in statuses:
            yield SampleResult(
                sample=sample_of(row),
                state=row.state,
                prediction=row.text,
                how=row.how,
                status=statuses[row.id],
            )


def failures(connection: Connection, run_id: int) -> Iterator[dict[str, Any]]:
    """The failed requests of a run: index and video of each sample, kind, message and attempts."""
    rows = connection.execute(
        select(SampleRow.key, RequestRow.video, RequestRow.error_kind, RequestRow.error, RequestRow.attempt)
        .join(RequestSampleRow, RequestSampleRow.request_id == RequestRow.id)
        .join(SampleRow, SampleRow.id == RequestSampleRow.sample_id)
        .where(RequestRow.run_id == run_id, RequestRow.status == RequestStatus.FAILED)
        .order_by(SampleRow.position)
    )
    for row in rows:
        yield {
            "index": row.key,
            "video": row.video,
            "kind": row.error_kind,
            "message": row.error,
            "attempts": row.attempt,
        }


def answered_ids(connection: Connection, run_id: int) -> list[int]:
    """The requests of a run that are answered, oldest first: packs before questions that were asked again alone."""
    done = (RequestRow.run_id == run_id) & (RequestRow.status == RequestStatus.DONE)
    return sorted(connection.execute(select(RequestRow.id).where(done)).scalars())


def answered(connection: Connection, request_ids: Sequence[int]) -> list[Answered]:
    """The stored responses to these requests with their samples, in the order of the ids."""
    rows = connection.execute(
        select(
            RequestRow.id.label("request_id"),
            RequestRow.key.label("request_key"),
            ResponseRow.text,
            *SampleRow.__table__.c,
        )
        .join(ResponseRow, ResponseRow.request_id == RequestRow.id)
        .join(RequestSampleRow, RequestSampleRow.request_id == RequestRow.id)
        .join(SampleRow, SampleRow.id == RequestSampleRow.sample_id)
        .where(RequestRow.id.in_(list(request_ids)), RequestRow.status == RequestStatus.DONE)
        .order_by(RequestRow.id, RequestSampleRow.position)
    )
    found = []
    for _, group in groupby(rows, key=lambda row: row.request_id):
        of_request = list(group)
        found.append(
            Answered(
                request_id=of_request[0].request_id,
                packed=of_request[0].request_key.startswith("pack:"),
                text=of_request[0].text,
                samples=tuple(StoredSample(row_id=row.id, sample=sample_of(row)) for row in of_request),
            )
        )
    return found
