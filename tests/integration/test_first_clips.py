"""What is decoded while a model is loaded: the first clips, in the cache, claimed by nobody."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from tests.one_worker import QuickEngine, work_of
from tests.questions import identity, key_of, make_run, request_ids, row_of, samples
from tests.servers import wait_for
from videval.cli import overview, progress
from videval.db import runs, workers
from videval.db.records import Claim
from videval.db.session import Database
from videval.errors import ModelUnavailable, VideoFailure
from videval.report.status import heard_workers, run_status
from videval.types import ModelSpec, WorkerState
from workers import worker as worker_module
from workers.engine import Engine, Loaded
from workers.first_clips import decode_first_clips
from workers.worker import Worker


class SlowEngine(QuickEngine):
    """Loads for as long as it takes `until` something is so."""

    def __init__(self, until: Callable[[], bool]) -> None:
        super().__init__()
        self._until = until

    def load(self, spec: ModelSpec, load_key: str, dtype: str) -> Loaded:
        self.is_loading = True
        try:
            wait_for("the load", self._until)
            return super().load(spec, load_key, dtype)
        finally:
            self.is_loading = False


def decoded_by(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The videos that a worker has decoded, as it goes on."""
    found, real = list[str](), worker.answerer.get_clips

    def noting(claim: Claim) -> None:
        real(claim)
        found.append(claim.samples[0].video)

    monkeypatch.setattr(worker.answerer, "get_clips", noting)
    return found


def slow(worker: Worker, until: Callable[[], bool]) -> SlowEngine:
    worker.engine.close()
    made = SlowEngine(until)
    worker.engine = cast("Engine", made)
    return made


def test_while_a_model_is_loaded_the_first_clips_are_decoded_and_nothing_is_claimed(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "A_WHILE", 0.0)
    run_id = make_run(database, tmp_path / "data", samples(16, videos=8))
    decoded = decoded_by(worker, monkeypatch)
    slow(worker, lambda: len(decoded) == 4)  # a batch of 2, and 2 ahead
    worker.load(work_of(database))
    assert decoded == ["v0.mp4", "v1.mp4", "v2.mp4", "v3.mp4"]
    rows = [row_of(database, request_id) for request_id in request_ids(database, run_id)]
    assert {(row.status, row.attempt) for row in rows} == {("queued", 0)} and not worker.held()


def test_a_load_that_fails_has_cost_the_requests_nothing(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "A_WHILE", 0.0)
    run_id = make_run(database, tmp_path / "data", 1)
    decoded = decoded_by(worker, monkeypatch)
    slow(worker, lambda: len(decoded) == 1).cannot.add(key_of())
    with pytest.raises(ModelUnavailable):
        worker.load(work_of(database))
    row = row_of(database, *request_ids(database, run_id))
    assert (row.status, row.attempt, row.strikes, row.retries) == ("queued", 0, 0, 0)


def test_a_load_that_is_over_soon_is_not_slowed_by_a_decoder(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "A_WHILE", 3600.0)
    make_run(database, tmp_path / "data", 1)
    slow(worker, lambda: True)
    worker.load(work_of(database))
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers) and worker.decoders.pids() == []


def test_a_worker_that_ends_waits_for_what_still_reads_the_database(
    worker: Worker, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "A_WHILE", 0.0)
    make_run(database, tmp_path / "data", samples(4, videos=4))
    begun, order = threading.Event(), list[str]()

    def decode(claim: Claim) -> None:
        begun.set()
        wait_for("the end to begin", lambda: worker.ending.is_set())
        order.append("decoded")

    monkeypatch.setattr(worker.answerer, "get_clips", decode)
    closes = worker.database.close

    def close() -> None:
        order.append("closed")
        closes()

    monkeypatch.setattr(worker.database, "close", close)
    slow(worker, begun.is_set)
    worker.load(work_of(database))
    worker.close()
    assert order == ["decoded", "closed"]


def names(database: Database, me: str, *, fails: Sequence[str] = (), most: int = 99, key: str = "") -> list[str]:
    """What a worker of this name would decode, two videos for each worker, until it has tried so many."""
    tried: list[str] = []

    def decode(claim: Claim) -> None:
        tried.append(claim.samples[0].video)
        if tried[-1] in fails:
            raise VideoFailure("it is cut")

    decode_first_clips(
        database, identity(me), key or key_of(), videos=2, decode=decode, goes_on=lambda: len(tried) < most
    )
    return tried


def test_workers_of_one_machine_decode_different_clips(database: Database, tmp_path: Path) -> None:
    make_run(database, tmp_path / "data", samples(12, videos=6))
    for name, lock_domain in (("a", "here"), ("b", "here"), ("c", "elsewhere")):
        database.write(workers.register, identity(name, lock_domain=lock_domain))
    assert [names(database, "a"), names(database, "b")] == [["v0.mp4", "v2.mp4"], ["v1.mp4", "v3.mp4"]]


def test_a_video_that_cannot_be_read_holds_up_no_other(database: Database, tmp_path: Path) -> None:
    make_run(database, tmp_path / "data", samples(4, videos=4))
    assert names(database, "a", fails=["v0.mp4"]) == ["v0.mp4", "v1.mp4"]


def test_when_the_model_is_there_no_more_are_decoded(database: Database, tmp_path: Path) -> None:
    make_run(database, tmp_path / "data", samples(4, videos=4))
    assert names(database, "a", most=1) == ["v0.mp4"]


def test_of_another_model_nothing_is_decoded(database: Database, tmp_path: Path) -> None:
    make_run(database, tmp_path / "data", 1)
    assert names(database, "a", key=key_of("Video-LLaVA-7B")) == []


# what people see meanwhile


def test_while_all_workers_of_a_run_load_its_model_it_says_since_when(database: Database, tmp_path: Path) -> None:
    run_id = make_run(database, tmp_path / "data", 1)
    with database.read() as connection:
        run = runs.get_run(connection, run_id)
    for name in ("a", "b"):
        database.write(workers.register, identity(name))
    assert run_status(database, run).loading_s is None
    for name in ("a", "b"):
        database.write(partial(workers.take_seat, loads=True), name, run.load_key)
    said = run_status(database, run)
    assert said.live == 2 and said.loading_s is not None and 0 <= said.loading_s < 60
    assert progress.plain_line(said, "").startswith(f"{run.name}: 0/1 done, 0 failed, loading the model, ")
    database.write(workers.beat, "a", workers.Pulse(state=WorkerState.IDLE, activity={}))
    assert run_status(database, run).loading_s is None
    (loads,) = [w for w in heard_workers(database) if w.loading_s is not None]
    assert loads.id == "b" and "loads the model" in overview._doing(loads)
