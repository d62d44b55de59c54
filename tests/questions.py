"""Runs for tests: a table of questions about small videos, and what it takes to answer them without a model."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.trees import clip
from videval.asking import asking
from videval.benchmarks.table import TableBenchmark, table_variant
from videval.db import requests, results
from videval.db.records import Claim, RunInfo, WorkerIdentity
from videval.db.session import Connection, Database, db_now
from videval.db.tables import RequestRow
from videval.models.catalog import load_key, model_spec
from videval.order import Order
from videval.runs import enqueue
from videval.types import (
    Clip,
    Generation,
    Prediction,
    PredictionState,
    Prompt,
    Reading,
    Response,
    Sample,
    Score,
    Text,
    Timings,
    Verdict,
    Video,
)

__all__ = [
    "answer",
    "database_time",
    "identity",
    "key_of",
    "make_run",
    "order",
    "request_ids",
    "response",
    "row_of",
    "say",
    "take",
]


def samples(count: int, rows: Mapping[int, Mapping[str, Any]] | None = None, *, videos: int = 4) -> list[Sample]:
    """Questions 0, 1, 2, ... about a few videos; `rows` adds columns to some of them."""
    made = []
    for i in range(count):
        extra = dict((rows or {}).get(i, {}))
        video = str(extra.pop("video", f"v{i % videos}.mp4"))
        row = {"index": str(i), "video": video, "question": f"What is {i}?", "answer": "A"} | extra
        made.append(
            Sample(
                id=str(i), video=video, question=str(row["question"]), answer="A", candidates=("one", "two"), row=row
            )
        )
    return made


def order(folder: Path, asked: Sequence[Sample] | int, *, model: str = "fake", **values: Any) -> Order:
    """An order of these questions, one after the other, with a video file for each that names one that is not there."""
    asked = samples(asked) if isinstance(asked, int) else asked
    folder.mkdir(parents=True, exist_ok=True)
    for video in {s.video for s in asked}:
        if not (folder / video).exists():
            (folder / video).write_bytes(clip())
    spec = model_spec(model)
    values = {"in_order": True} | values
    return Order(
        benchmark=TableBenchmark(),
        variant=table_variant(folder / "questions.tsv", num_frames=4),
        samples=asked,
        root=folder,
        spec=spec,
        generation=spec.generation,
        **values,
    )


def make_run(database: Database, folder: Path, asked: Sequence[Sample] | int = 1, **values: Any) -> int:
    """Enqueue; returns the run's id."""
    return enqueue(database, order(folder, asked, **values)).run.run_id


def request_ids(database: Database, run_id: int) -> list[int]:
    """The requests of a run in order."""
    with database.read() as connection:
        return list(
            connection.execute(
                select(RequestRow.id).where(RequestRow.run_id == run_id).order_by(RequestRow.id)
            ).scalars()
        )


def database_time(connection: Connection) -> float:
    """The database's clock, seconds since the epoch."""
    return connection.execute(select(db_now())).scalar_one()


def row_of(database: Database, request_id: int) -> Any:
    """A row of `requests`."""
    with database.read() as connection:
        return connection.execute(select(*RequestRow.__table__.c).where(RequestRow.id == request_id)).one()


def identity(name: str = "w1", *, device: str = "cpu:0", lock_domain: str = "here") -> WorkerIdentity:
    """A worker."""
    return WorkerIdentity(id=name, name=f"{name}@host", host="host", lock_domain=lock_domain, pid=1, device=device)


def key_of(model: str = "fake") -> str:
    """The load key of a model."""
    return load_key(model_spec(model), "auto")


def take(
    database: Database,
    request_id: int,
    worker: str = "w1",
    *,
    lease: float = 60.0,
    dtype: str = "float32",
    model: str = "fake",
) -> Claim | None:
    """Claim a request, after what has run out was given up, as reconcile does."""
    me = identity(worker)
    database.write(requests.expire_leases)
    return database.write(lambda c: requests.claim(c, request_id, me, lease=lease, load_key=key_of(model), dtype=dtype))


def response(text: str = "A") -> Response:
    """What a model said."""
    prompt = Prompt(parts=(Text(text="What?"),))
    return Response(text=text, prompt=prompt, generation=Generation(text=text), timings=Timings())


def answer(database: Database, claim: Claim | None, text: str = "A", *, resurrect: bool = False) -> bool:
    """Complete a claimed request with the same answer to each of its samples."""
    assert claim is not None
    ids = [s.id for s in claim.samples]
    reading = Reading(
        predictions=tuple(Prediction(sample_id=i, state=PredictionState.ANSWERED, text=text) for i in ids),
        scores={i: Score(verdict=Verdict.RIGHT, value=1.0, read=text) for i in ids},
    )
    return database.write(partial(results.complete, resurrect=resurrect), claim, response(text), reading)


CLIP = Clip(
    path="c.npy", frame_numbers=(0, 4), timestamps=(0.0, 0.4), total_frames=30, fps=10.0, width=64, height=48,
    decoder="test", policy="interior",
)  # fmt: skip


def say(database: Database, run: RunInfo, number: int, generation: Generation, *, clip: Clip = CLIP) -> None:
    """Answer one of a run's requests with what a model gave, read as a worker reads it."""
    claim = take(database, request_ids(database, run.run_id)[number])
    assert claim is not None
    prompt = Prompt(parts=(Video(), Text(text="What?")), clips=(clip,))
    said = Response(text=generation.text, prompt=prompt, generation=generation, timings=Timings())
    reading = asking(claim.key, TableBenchmark()).read(claim.samples, said.said)
    assert database.write(results.complete, claim, said, reading)
