"""Answers: stored once with their predictions and scores in one transaction, read back for merge, score and export."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from videval.db import attempts, races
from videval.db.records import Claim, StoredSample, sample_of
from videval.db.responses import CUT_THINKING
from videval.db.scores import store_scores
from videval.db.session import db_now, upsert
from videval.db.tables import (
    PredictionRow,
    RequestRow,
    RequestSampleRow,
    ResponseRow,
    RunRow,
    SampleRow,
)
from videval.db.usage import count_usage
from videval.plain import plain
from videval.types import (
    AttemptOutcome,
    Frame,
    Image,
    Part,
    Reading,
    RequestStatus,
    Response,
    Said,
    Sample,
    Score,
    Sound,
    Stage,
    Text,
    Video,
)

__all__ = [
    "ANSWERS",
    "Answered",
    "SampleResult",
    "answered",
    "answered_ids",
    "answers_of",
    "complete",
    "failures",
    "iter_results",
    "store_readings",
]

HELD = (RequestStatus.RUNNING,)
GIVEN_UP = (RequestStatus.RUNNING, RequestStatus.FAILED, RequestStatus.QUEUED)
"""In the order in which a request can go from one to the other, unseen between two looks."""
DONE = (
    update(RequestRow)
    .where(RequestRow.id == bindparam("request"), RequestRow.attempt == bindparam("of_attempt"))
    .where(RequestRow.status == bindparam("was"))
    .values(status=RequestStatus.DONE, lease_expires_at=None, error_kind=None, error=None, finished_at=db_now())
)
STORED = (
    select(ResponseRow.request_id)
    .join(RequestRow, RequestRow.id == ResponseRow.request_id)
    .where(ResponseRow.request_id == bindparam("request"), ResponseRow.attempt == bindparam("of_attempt"))
    .where(RequestRow.status == RequestStatus.DONE)
)

ANSWERS = (
    select(
        RequestRow.id.label("request_id"),
        RequestRow.key.label("request_key"),
        ResponseRow.text,
        CUT_THINKING.label("cut_thinking"),
        ResponseRow.refused,
        *SampleRow.__table__.c,
    )
    .join(ResponseRow, ResponseRow.request_id == RequestRow.id)
    .join(RequestSampleRow, RequestSampleRow.request_id == RequestRow.id)
    .join(SampleRow, SampleRow.id == RequestSampleRow.sample_id)
    .where(RequestRow.status + "" == RequestStatus.DONE)  # by id, whatever an index on status promises
    .order_by(RequestRow.id, RequestSampleRow.position)
)
"""A row for each sample of each request that is answered."""


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
    """A request with its response and the samples it asks about, to take predictions from."""

    request_id: int
    key: str
    said: Said
    stored: tuple[StoredSample, ...]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """What was asked about, without the ids of rows."""
        return tuple(stored.sample for stored in self.stored)


def complete(
    connection: Connection,
    claim: Claim,
    response: Response,
    reading: Reading,
    *,
    resurrect: bool = False,
) -> bool:
    """Store an answer and what was read in it; False if the fence refused it (someone else has the request).

    True also if this attempt's answer is stored already: a connection that breaks while it commits cannot say so.

    `resurrect` also takes the answer of an attempt that was given up but not yet succeeded by another one (an
    answer that an outage held up). Of a request that is raced the first answer is taken; the other try is `repeated`.
    """
    pair, is_raced = (claim.request_id, claim.attempt), claim.is_race or claim.run.race_tail
    if not _is_first(connection, claim, GIVEN_UP if resurrect else HELD):
        if is_raced:
            races.close(connection, pair, AttemptOutcome.REPEATED)
        return _is_stored(connection, claim)
    upsert(connection, ResponseRow, [_response(claim, response)], keys=["request_id"])
    count_usage(connection, claim.run.run_id, response.generation)
    answer = Answered(request_id=claim.request_id, key=claim.key, said=response.said, stored=claim.stored)
    store_readings(connection, claim.run.run_id, [(answer, reading)])
    attempts.finish(connection, pair, AttemptOutcome.DONE, stage=Stage.STORE)
    if is_raced:
        races.close_others(connection, pair)
    return True


def _is_first(connection: Connection, claim: Claim, among: Sequence[RequestStatus]) -> bool:
    """Make a request of one of these statuses done; False if the fence refuses it."""
    if claim.is_race:
        return races.win(connection, claim.run.run_id, claim.request_id)
    of = {"request": claim.request_id, "of_attempt": claim.attempt}
    for status in among:
        if connection.execute(DONE, of | {"was": status}).rowcount == 1:
            attempts.count(connection, claim.run.run_id, {"done": 1, "failed": -(status == RequestStatus.FAILED)})
            return True
    return False


def _is_stored(connection: Connection, claim: Claim) -> bool:
    of = {"request": claim.request_id, "of_attempt": claim.attempt}
    return connection.execute(STORED, of).scalar() is not None


def part_as_json(part: Part) -> dict[str, Any]:
    """A prompt's part as it is stored."""
    match part:
        case Text():
            return {"type": "text", "role": part.role, "text": part.text}
        case Video():
            return {"type": "video", "clip": part.clip}
        case Frame():
            return {"type": "frame", "position": part.position, "clip": part.clip}
        case Image():
            return {"type": "image", "path": part.path}
        case Sound():
            return {"type": "sound", **plain(part)}


def _response(claim: Claim, response: Response) -> dict[str, Any]:
    clips = response.prompt.clips
    timings = {f"{name}_s": value for name, value in asdict(response.timings).items()}
    return {
        "request_id": claim.request_id,
        "run_id": claim.run.run_id,
        "attempt": claim.attempt,
        "text": response.text,
        "thinking": response.generation.thinking,
        "truncated": response.generation.truncated,
        "prompt": [part_as_json(p) for p in response.prompt.parts],
        "clips": [{name: value for name, value in asdict(clip).items() if name != "path"} for clip in clips],
        "seen": [plain(seen) for seen in response.generation.seen],
        "rendered": response.generation.rendered,
        "num_frames": sum(clip.num_frames for clip in clips),
        "prompt_tokens": response.generation.prompt_tokens,
        "new_tokens": response.generation.new_tokens,
        "cached_tokens": response.generation.cached_tokens,
        "reasoning_tokens": response.generation.reasoning_tokens,
        "cost": response.generation.cost,
        "refused": response.generation.refused,
        "decoded": response.decoded,
        "created_at": db_now(),
        **timings,
    }


def store_readings(connection: Connection, run_id: int, readings: Iterable[tuple[Answered, Reading]]) -> None:
    """Give samples their predictions, replacing older ones, and store their scores, dropping those of samples that are
    no longer scored. Of several readings of a sample the last one counts."""
    predicted: dict[int, dict[str, Any]] = {}
    now = db_now()
    scores: dict[int, Score | None] = {}
    for of, reading in readings:
        row_ids = {s.sample.id: s.row_id for s in of.stored}
        for p in reading.predictions:
            row_id = row_ids[p.sample_id]
            said = {"request_id": of.request_id, "state": p.state, "text": p.text, "how": p.how}
            predicted[row_id] = {"run_id": run_id, "sample_id": row_id, "created_at": now, **said}
        scores |= {row_id: reading.scores.get(sample_id) for sample_id, row_id in row_ids.items()}
    upsert(connection, PredictionRow, list(predicted.values()), keys=["run_id", "sample_id"])
    store_scores(connection, run_id, scores)


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
    return answers_of(connection.execute(ANSWERS.where(RequestRow.id.in_(list(request_ids)))).all())


def answers_of(rows: Sequence[Any]) -> list[Answered]:
    """The answers of rows with the columns of ANSWERS, in their order."""
    found = []
    for request_id, group in groupby(rows, key=lambda row: row.request_id):
        of_request = list(group)
        first = of_request[0]
        found.append(
            Answered(
                request_id=request_id,
                key=first.request_key,
                said=Said(text=first.text, cut_thinking=first.cut_thinking, refused=first.refused),
                stored=tuple(StoredSample(row_id=row.id, sample=sample_of(row)) for row in of_request),
            )
        )
    return found
