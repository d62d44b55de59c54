"""A finished run whose answers are given: nothing is decoded or generated."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection

from tools.golden.data import Loaded
from videval.asking import One
from videval.db import requests, results
from videval.db import runs as rows
from videval.db.records import Claim, RunInfo, WorkerIdentity
from videval.db.schema import ensure_schema
from videval.db.session import Database, open_database
from videval.models.catalog import model_spec
from videval.order import Order
from videval.runs import enqueue
from videval.settings import Settings
from videval.types import Clip, Generation, Prompt, Response, Timings

__all__ = ["finished_run"]

_NOBODY = WorkerIdentity(id="w", name="w", host="h", lock_domain="h", pid=1, device="cpu:0")
_NOTHING = Clip(
    path="", frame_numbers=(0,), timestamps=(0.0,), total_frames=1, fps=1.0, width=1, height=1, decoder="", policy=""
)


@contextmanager
def finished_run(read: Loaded, predictions: Sequence[str]) -> Iterator[tuple[Database, RunInfo]]:
    """A database with one run, in which each sample was answered by its prediction; both go when it is left."""
    for sample in read.samples:
        video = read.root / sample.video
        video.parent.mkdir(parents=True, exist_ok=True)
        video.touch()
    with tempfile.TemporaryDirectory() as home:
        database = open_database(Settings(home=Path(home), lock_dir=Path(home) / "locks", database_url=SecretStr("")))
        try:
            ensure_schema(database)
            said = dict(zip((sample.id for sample in read.samples), predictions, strict=True))
            yield database, _answered(database, read, said)
        finally:
            database.close()


def _answered(database: Database, read: Loaded, said: Mapping[str, str]) -> RunInfo:
    order = Order(
        benchmark=read.benchmark, variant=read.variant, samples=read.samples, root=read.root, spec=model_spec("fake")
    )
    run = enqueue(database, order).run
    with database.read() as connection:
        numbers = [row[0] for row in connection.exec_driver_sql(f"SELECT id FROM requests WHERE run_id = {run.run_id}")]
    for number in numbers:
        database.write(lambda c, number=number: _answer(c, number, run, read, said))  # type: ignore[misc]
    with database.read() as connection:
        return rows.get_run(connection, run.run_id)


def _answer(connection: Connection, number: int, run: RunInfo, read: Loaded, said: Mapping[str, str]) -> None:
    claim = requests.claim(connection, number, _NOBODY, lease=60.0, load_key=run.load_key, dtype="float32")
    assert isinstance(claim, Claim)
    text = said[claim.samples[0].id]
    prompt = Prompt(parts=(), clips=(_NOTHING,))
    response = Response(text=text, prompt=prompt, generation=Generation(text=text), timings=Timings())
    results.complete(connection, claim, response, One(read.benchmark).read(claim.samples, response.said))
